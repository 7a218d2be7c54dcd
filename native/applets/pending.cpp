// Stand-ins for the applets that are still to come: a strong definition elsewhere wins.
#include "applets.hpp"

namespace tslxc {

#define PENDING(applet)                                                                                                                    \
	__attribute__((weak)) int applet(const Invocation &) { throw_error("internal", "this verb is not there yet"); }
PENDING(attach_applet)
PENDING(console_applet)

} // namespace tslxc
