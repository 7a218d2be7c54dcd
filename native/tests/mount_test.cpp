#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "../base/file.hpp"
#include "../kernel/block_mount.hpp"
#include "../kernel/mount_source.hpp"
#include "../kernel/overlay_mount.hpp"
#include "check.hpp"
#include "scratch.hpp"

using namespace tslxc;

namespace {

constexpr uid_t guest_root = 1000000;

std::string image_with(const testing::Scratch &scratch, off_t offset, std::string_view magic) {
	const std::string path = scratch.path + "/image";
	const Fd fd = open_or_throw(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	CHECK(::ftruncate(fd.get(), 1 << 20) == 0);
	CHECK(::pwrite(fd.get(), magic.data(), magic.size(), offset) == static_cast<ssize_t>(magic.size()));
	return path;
}

std::string type_of(const std::string &path) {
	const Fd fd = open_or_throw(path, O_RDONLY);
	return file_system_type(fd.get());
}

/** Two lower layers, an upper one. */
MountSource make_layers(const testing::Scratch &scratch) {
	MountSource source;
	source.kind = MountSource::Kind::overlay;
	for (const char *name : {"top", "bottom"}) {
		make_dirs(cat(scratch.path, '/', name), 0755);
		const Fd file = open_or_throw(cat(scratch.path, '/', name, "/name"), O_WRONLY | O_CREAT, 0644);
		write_all(file.get(), name, "a test's file");
		source.lowers.push_back(cat(scratch.path, '/', name));
	}
	source.upper = scratch.path + "/overlay/delta";
	source.work = scratch.path + "/overlay/work";
	make_dirs(source.upper, 0755);
	return source;
}

/** What the guest's root writes stands on the disk as root's, and only in the upper layer. */
void check_guest_writes(const Fd &mount, const MountSource &source) {
	const std::string root = cat("/proc/self/fd/", mount.get());
	CHECK_EQUAL(read_file(root + "/name"), "top");
	::setfsgid(guest_root);
	::setfsuid(guest_root);
	const Fd made(::openat(mount.get(), "made", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	const int removed = ::unlinkat(mount.get(), "name", 0);
	::setfsuid(0);
	::setfsgid(0);
	CHECK(made && removed == 0);
	struct stat info {};
	CHECK(::stat((source.upper + "/made").c_str(), &info) == 0);
	CHECK_EQUAL(info.st_uid, 0u);
	CHECK(::fstat(made.get(), &info) == 0);
	CHECK_EQUAL(info.st_uid, guest_root);
	CHECK(::lstat((source.upper + "/name").c_str(), &info) == 0 && S_ISCHR(info.st_mode));
	CHECK_EQUAL(read_file(source.lowers[0] + "/name"), "top");
}

} // namespace

TEST(file_systems_are_known_by_their_superblocks) {
	const testing::Scratch scratch;
	CHECK_EQUAL(type_of(image_with(scratch, 0x438, "\x53\xef")), "ext4");
	CHECK_EQUAL(type_of(image_with(scratch, 0, "XFSB")), "xfs");
	CHECK_EQUAL(type_of(image_with(scratch, 0x10040, "_BHRfS_M")), "btrfs");
	CHECK_EQUAL(type_of(image_with(scratch, 0, "LUKS")), "");
}

TEST(a_missing_device_names_its_volume_group) {
	CHECK_EQUAL(missing_device_hint("/dev/vg0/web"), "vgchange -ay vg0");
	CHECK_EQUAL(missing_device_hint("/dev/mapper/vg0-web"), "vgchange -ay vg0");
	CHECK_EQUAL(missing_device_hint("/dev/mapper/my--vg-we--b"), "vgchange -ay my-vg");
	CHECK_EQUAL(missing_device_hint("/dev/sdz9"), "lsblk");
	CHECK_EQUAL(missing_device_hint("/dev/disk/by-id"), "lsblk");
}

TEST(overlays_without_layers_are_refused) {
	MountSource source;
	source.kind = MountSource::Kind::overlay;
	CHECK_THROWS(make_overlay_mount(source, {}, {}), "without a lower layer");
	source.lowers = {"/"};
	source.upper = "/nowhere";
	CHECK_THROWS(make_overlay_mount(source, {}, {}), "without a work directory");
}

TEST(overlays_over_idmapped_layers_write_with_the_ids_of_the_guest) {
	if (::geteuid() != 0) {
		return;
	}
	MountOwner owner;
	const Fd userns = make_user_namespace({{'u', 0, guest_root, 65536}, {'g', 0, guest_root, 65536}});
	owner.userns_fd = userns.get();
	owner.root_uid = owner.root_gid = guest_root;
	{
		const testing::Scratch scratch;
		const MountSource source = make_layers(scratch);
		check_guest_writes(make_overlay_mount(source, {}, owner), source);
	}
	// The way of older kernels gives the same.
	const testing::Scratch scratch;
	const MountSource source = make_layers(scratch);
	check_guest_writes(make_overlay_mount_in_child(source, owner), source);
	const testing::Scratch third;
	const MountSource again = make_layers(third);
	const std::string before = read_file("/proc/self/mountinfo");
	Fd mount;
	std::thread([&] { mount = make_overlay_mount_in_own_namespace(again, owner); }).join();
	check_guest_writes(mount, again);
	CHECK_EQUAL(read_file("/proc/self/mountinfo"), before);
	MountSource wrong = source;
	wrong.lowers.push_back(scratch.path + "/none");
	CHECK_THROWS(make_overlay_mount_in_child(wrong, owner), "/none'");
}
