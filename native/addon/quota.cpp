// How large a tree is, by walking; and project quotas: accounts of ext4 and xfs that a tree's files are charged to.
#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <unordered_set>
#include <utility>

#include "../base/file.hpp"
#include "../base/text.hpp"
#include "convert.hpp"
#include "tree_walk.hpp"

namespace tslxc::addon {

namespace {
constexpr std::uint64_t basic_block_bytes = 512; // linux/dqblk_xfs.h

/** Whatever the file system: the kernel translates the commands of xfs. quotactl(2), quotactl_fd since 5.14 */
int project_quota(const Fd &fd, unsigned command, std::uint32_t id, void *data) {
	return static_cast<int>(::syscall(SYS_quotactl_fd, fd.get(), QCMD(command, PRJQUOTA), id, data));
}

/** `enforced`, `off` (accounts may be kept, but nothing is refused) or `unsupported`. */
Napi::Value project_quota_state(const Napi::CallbackInfo &info) {
	return guarded(info.Env(), [&]() -> Napi::Value {
		const Fd fd = open_or_throw(string_argument(info, 0), O_RDONLY);
		fs_quota_statv state{};
		state.qs_version = FS_QSTATV_VERSION1;
		const char *found = "unsupported";
		if (project_quota(fd, Q_XGETQSTATV, 0, &state) == 0) {
			found = (state.qs_flags & FS_QUOTA_PDQ_ENFD) != 0 ? "enforced" : "off";
		}
		return Napi::String::New(info.Env(), found);
	});
}

/** The project of a directory; 0: none. */
Napi::Value project_of(const Napi::CallbackInfo &info) {
	return guarded(info.Env(), [&]() -> Napi::Value {
		const std::string path = string_argument(info, 0);
		const Fd fd = open_or_throw(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
		fsxattr attributes{};
		if (::ioctl(fd.get(), FS_IOC_FSGETXATTR, &attributes) < 0) {
			throw_errno("quota", cat("cannot read the project of '", path, "'"));
		}
		return Napi::Number::New(info.Env(), attributes.fsx_projid);
	});
}

/** Bytes of a project's account and its limit (0: none); undefined: there is no such account. */
Napi::Value project_account(const Napi::CallbackInfo &info) {
	return guarded(info.Env(), [&]() -> Napi::Value {
		const std::string path = string_argument(info, 0);
		const Fd fd = open_or_throw(path, O_RDONLY);
		fs_disk_quota quota{};
		if (project_quota(fd, Q_XGETQUOTA, uint_argument(info, 1), &quota) < 0) {
			if (errno == ENOENT || errno == ESRCH) {
				return info.Env().Undefined();
			}
			throw_errno("quota", cat("cannot read the quota of '", path, "'"));
		}
		auto account = Napi::Object::New(info.Env());
		account.Set("usedBytes", static_cast<double>(quota.d_bcount * basic_block_bytes));
		account.Set("limitBytes", static_cast<double>(quota.d_blk_hardlimit * basic_block_bytes));
		account.Set("entries", static_cast<double>(quota.d_icount));
		return account;
	});
}

void set_project_limit(const Napi::CallbackInfo &info) {
	guarded(info.Env(), [&] {
		const std::string path = string_argument(info, 0);
		const Fd fd = open_or_throw(path, O_RDONLY);
		fs_disk_quota quota{};
		quota.d_version = FS_DQUOT_VERSION;
		quota.d_flags = FS_PROJ_QUOTA;
		quota.d_fieldmask = FS_DQ_BHARD | FS_DQ_BSOFT;
		quota.d_id = uint_argument(info, 1);
		quota.d_blk_hardlimit = static_cast<std::uint64_t>(info[2].As<Napi::Number>().Int64Value()) / basic_block_bytes;
		if (project_quota(fd, Q_XSETQLIM, quota.d_id, &quota) < 0) {
			throw_errno("quota", cat("cannot set the quota of '", path, "'"));
		}
	});
}

/**
 * Charges a tree to a project. From the top down: what is made below a directory that has been seen is charged by itself.
 * Only files and directories hold data, and only they can be opened for it.
 */
class ProjectJob : public Job {
public:
	ProjectJob(Napi::Env env, std::string path, std::uint32_t id) : Job(env), path_(std::move(path)), id_(id) {}

private:
	void work() override {
		walk_tree(path_, [this](int dir_fd, const char *name, const struct statx &status) {
			if (S_ISDIR(status.stx_mode) || S_ISREG(status.stx_mode)) {
				charge(dir_fd, name, S_ISDIR(status.stx_mode));
			}
		});
	}
	void charge(int dir_fd, const char *name, bool is_dir) {
		const Fd fd(::openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
		if (!fd && (errno == ENOENT || errno == ELOOP || errno == ENXIO)) {
			return; // gone, or another thing meanwhile
		}
		fsxattr attributes{};
		if (!fd || ::ioctl(fd.get(), FS_IOC_FSGETXATTR, &attributes) < 0) {
			throw_errno("quota", cat("cannot read the project of '", path_, "/…/", name, "'"));
		}
		attributes.fsx_projid = id_;
		if (is_dir) {
			attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
		}
		if (::ioctl(fd.get(), FS_IOC_FSSETXATTR, &attributes) < 0) {
			throw_errno("quota", cat("cannot set the project of '", path_, "/…/", name, "'"));
		}
	}
	Napi::Value result(Napi::Env env) override { return env.Undefined(); }

	std::string path_;
	std::uint32_t id_;
};

class UsageJob : public Job {
public:
	UsageJob(Napi::Env env, std::string path) : Job(env), path_(std::move(path)) {}

private:
	void work() override {
		walk_tree(path_, [this](int, const char *, const struct statx &status) {
			entries_++;
			const bool is_once = S_ISDIR(status.stx_mode) || status.stx_nlink < 2;
			if (is_once || linked_.insert(status.stx_ino).second) {
				used_ += status.stx_blocks * basic_block_bytes;
				apparent_ += status.stx_size;
			}
		});
	}
	Napi::Value result(Napi::Env env) override {
		auto usage = Napi::Object::New(env);
		usage.Set("usedBytes", static_cast<double>(used_));
		usage.Set("apparentBytes", static_cast<double>(apparent_));
		usage.Set("entries", static_cast<double>(entries_));
		return usage;
	}

	std::string path_;
	std::uint64_t used_ = 0, apparent_ = 0, entries_ = 0;
	std::unordered_set<std::uint64_t> linked_;
};

Napi::Value set_project(const Napi::CallbackInfo &info) {
	return guarded(info.Env(), [&] { return start_job<ProjectJob>(info.Env(), string_argument(info, 0), uint_argument(info, 1)); });
}

Napi::Value tree_usage(const Napi::CallbackInfo &info) {
	return guarded(info.Env(), [&] { return start_job<UsageJob>(info.Env(), string_argument(info, 0)); });
}
} // namespace

void export_quota(Napi::Env env, Napi::Object exports) {
	exports.Set("projectQuotaState", Napi::Function::New(env, project_quota_state, "projectQuotaState"));
	exports.Set("projectOf", Napi::Function::New(env, project_of, "projectOf"));
	exports.Set("projectAccount", Napi::Function::New(env, project_account, "projectAccount"));
	exports.Set("setProjectLimit", Napi::Function::New(env, set_project_limit, "setProjectLimit"));
	exports.Set("setProject", Napi::Function::New(env, set_project, "setProject"));
	exports.Set("treeUsage", Napi::Function::New(env, tree_usage, "treeUsage"));
}

} // namespace tslxc::addon
