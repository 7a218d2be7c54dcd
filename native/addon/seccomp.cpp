// compileSeccomp: a policy to ready BPF. libseccomp is linked into the addon only; the program loads what this makes.
#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "../base/error.hpp"
#include "../base/fd.hpp"
#include "../base/file.hpp"
#include "../base/text.hpp"
#include "convert.hpp"
#include "seccomp_policy.hpp"

namespace tslxc {

namespace {
struct FilterRelease {
	void operator()(void *filter) const { ::seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, FilterRelease>;

struct Architecture {
	std::uint32_t token;
	std::string_view section;
};

/** The machine's own first, then those its kernel runs as well: a call through them would pass an own-only filter by. */
std::vector<Architecture> host_architectures() {
	switch (::seccomp_arch_native()) {
	case SCMP_ARCH_X86_64:
		return {{SCMP_ARCH_X86_64, "x86_64"}, {SCMP_ARCH_X86, "x86"}, {SCMP_ARCH_X32, "x32"}};
	case SCMP_ARCH_X86:
		return {{SCMP_ARCH_X86, "x86"}};
	case SCMP_ARCH_AARCH64:
		return {{SCMP_ARCH_AARCH64, "arm64"}, {SCMP_ARCH_ARM, "arm"}};
	case SCMP_ARCH_ARM:
		return {{SCMP_ARCH_ARM, "arm"}};
	case SCMP_ARCH_PPC64LE:
		return {{SCMP_ARCH_PPC64LE, "ppc64le"}};
	case SCMP_ARCH_PPC64:
		return {{SCMP_ARCH_PPC64, "ppc64"}, {SCMP_ARCH_PPC, "ppc"}};
	case SCMP_ARCH_S390X:
		return {{SCMP_ARCH_S390X, "s390x"}, {SCMP_ARCH_S390, "s390"}};
	case SCMP_ARCH_RISCV64:
		return {{SCMP_ARCH_RISCV64, "riscv64"}};
	case SCMP_ARCH_MIPS64:
		return {{SCMP_ARCH_MIPS64, "mips64"}, {SCMP_ARCH_MIPS64N32, "mips64n32"}, {SCMP_ARCH_MIPS, "mips"}};
	case SCMP_ARCH_MIPSEL64:
		return {{SCMP_ARCH_MIPSEL64, "mipsel64"}, {SCMP_ARCH_MIPSEL64N32, "mipsel64n32"}, {SCMP_ARCH_MIPSEL, "mipsel"}};
	default:
		return {{::seccomp_arch_native(), "native"}};
	}
}

[[noreturn]] void fail(const std::string &file, int negative_errno) {
	throw_errno("seccomp", cat("cannot compile the seccomp policy '", file, "'"), -negative_errno);
}

Filter new_filter(std::uint32_t default_action, std::uint32_t arch, const std::string &file) {
	Filter filter(::seccomp_init(default_action));
	if (!filter) {
		fail(file, -ENOMEM);
	}
	if (arch != ::seccomp_arch_native()) {
		const int added = ::seccomp_arch_add(filter.get(), arch);
		const int removed = ::seccomp_arch_remove(filter.get(), SCMP_ARCH_NATIVE);
		if (added < 0 || removed < 0) {
			fail(file, added < 0 ? added : removed);
		}
	}
	// A tracer skips a call by making its number -1: that must not count as a forbidden call. seccomp_attr_set(3)
	(void)::seccomp_attr_set(filter.get(), SCMP_FLTATR_API_TSKIP, 1);
	// A tree: at load the kernel runs the filter once for every call it knows, so a long chain doubles the price of each attach.
	(void)::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return filter;
}

bool concerns(const SeccompRule &rule, const Architecture &arch, bool is_native) {
	return rule.arch == "all" || rule.arch == arch.section || (rule.arch == "native" && is_native);
}

/** The machine's own number, also for the others: seccomp_rule_add translates it to each architecture by its name. */
int native_number(const SeccompRule &rule) {
	const auto number = to_int(rule.name);
	return number ? static_cast<int>(*number) : ::seccomp_syscall_resolve_name(rule.name.c_str());
}

void add_rule(void *filter, const SeccompRule &rule, const std::string &file) {
	const int number = native_number(rule);
	// A name this kernel generation, architecture or libseccomp doesn't have: as LXC, no rule.
	if (number == __NR_SCMP_ERROR) {
		return;
	}
	std::vector<scmp_arg_cmp> arguments;
	for (const SeccompArgument &argument : rule.arguments) {
		const auto op = static_cast<scmp_compare>(argument.op);
		// For the masked comparison libseccomp wants the mask first.
		arguments.push_back(op == SCMP_CMP_MASKED_EQ ? scmp_arg_cmp{argument.index, op, argument.mask, argument.value}
													 : scmp_arg_cmp{argument.index, op, argument.value, 0});
	}
	const int added =
		::seccomp_rule_add_exact_array(filter, rule.action, number, static_cast<unsigned>(arguments.size()), arguments.data());
	// EACCES: the rule says what the default says anyway. EDOM, EFAULT: the call can't be filtered on this architecture.
	if (added < 0 && added != -EACCES && added != -EDOM && added != -EFAULT) {
		throw_errno("seccomp", cat(file, ":", rule.line, ": cannot add the rule for '", rule.name, "'"), -added);
	}
}
} // namespace

std::string compile_seccomp_policy(const SeccompPolicy &policy, const std::string &file) {
	Filter whole;
	for (const Architecture &arch : host_architectures()) {
		Filter filter = new_filter(policy.default_action, arch.token, file);
		for (const SeccompRule &rule : policy.rules) {
			if (concerns(rule, arch, !whole)) {
				add_rule(filter.get(), rule, file);
			}
		}
		if (!whole) {
			whole = std::move(filter);
			continue;
		}
		// On success the merged one is released with the whole.
		if (const int merged = ::seccomp_merge(whole.get(), filter.get()); merged < 0) {
			fail(file, merged);
		}
		filter.release();
	}
	const Fd out(::memfd_create("tslxc-seccomp", MFD_CLOEXEC));
	if (!out) {
		fail(file, -errno);
	}
	if (const int exported = ::seccomp_export_bpf(whole.get(), out.get()); exported < 0) {
		fail(file, exported);
	}
	if (::lseek(out.get(), 0, SEEK_SET) < 0) {
		fail(file, -errno);
	}
	return read_all(out.get(), "the compiled filter");
}

namespace addon {

namespace {
Napi::Value compile(const Napi::CallbackInfo &info) {
	return guarded(info.Env(), [&] {
		const std::string file = info[1].As<Napi::Object>().Get("file").ToString();
		const std::string filter = compile_seccomp_policy(parse_seccomp_policy(string_argument(info, 0), file), file);
		return Napi::Buffer<char>::Copy(info.Env(), filter.data(), filter.size());
	});
}
} // namespace

void export_seccomp(Napi::Env env, Napi::Object exports) {
	exports.Set("compileSeccomp", Napi::Function::New(env, compile, "compileSeccomp"));
}

} // namespace addon

} // namespace tslxc
