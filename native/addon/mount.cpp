// mountDetached: a mount that no mount table shows and that goes with its descriptor, when this process ends at the latest.
#include <fcntl.h>
#include <unistd.h>

#include <exception>
#include <memory>
#include <thread>
#include <utility>

#include "../base/file.hpp"
#include "../base/text.hpp"
#include "../kernel/mount_source.hpp"
#include "../kernel/overlay_mount.hpp"
#include "../kernel/syscalls.hpp"
#include "convert.hpp"

namespace tslxc::addon {

namespace {
using Mount = std::shared_ptr<Fd>;

std::string text_of(const Napi::Object &object, const char *key) {
	const Napi::Value value = object.Get(key);
	return value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
}

MountSource source_argument(const Napi::CallbackInfo &info, std::size_t index) {
	const auto object = info[index].As<Napi::Object>();
	const std::string kind = text_of(object, "kind");
	MountSource source;
	using Kind = MountSource::Kind;
	if (kind == "bind") {
		source.path = text_of(object, "path");
		source.recursive = object.Get("recursive").ToBoolean();
	} else if (kind == "fs") {
		source.kind = Kind::fs;
		source.path = text_of(object, "source");
		source.options = text_of(object, "options");
	} else if (kind == "overlay") {
		source.kind = Kind::overlay;
		const auto lowers = object.Get("lowers").As<Napi::Array>();
		for (std::uint32_t i = 0; i < lowers.Length(); i++) {
			const Napi::Value lower = lowers[i];
			source.lowers.push_back(lower.As<Napi::String>().Utf8Value());
		}
		source.upper = text_of(object, "upper");
		source.work = text_of(object, "work");
	} else if (kind == "loop") {
		source.kind = Kind::loop;
		source.path = text_of(object, "file");
	} else if (kind == "block") {
		source.kind = Kind::block;
		source.path = text_of(object, "device");
	} else {
		throw_error("internal", cat("cannot mount a source of the kind '", kind, "'"));
	}
	source.type = text_of(object, "type");
	return source;
}

/** In a thread of its own, which ends at once: a mount namespace is a thread's. unshare(2) */
Fd mount_overlay_of_older_kernels(const MountSource &source, const MountOwner &owner) {
	Fd mount;
	std::exception_ptr failure;
	std::thread([&] {
		try {
			mount = make_overlay_mount_in_own_namespace(source, owner);
		} catch (...) {
			failure = std::current_exception();
		}
	}).join();
	if (failure) {
		std::rethrow_exception(failure);
	}
	return mount;
}

Fd mount_overlay(const MountSource &source, const MountFlags &flags, const MountOwner &owner) {
	try {
		return make_source_mount(source, flags, owner);
	} catch (const SysError &error) {
		// So many layers that their names don't fit into one option: before 6.7 only mount(2) takes them.
		if (error.info().error_number != EINVAL) {
			throw;
		}
		return mount_overlay_of_older_kernels(source, owner);
	}
}

Fd mount_source(const MountSource &source, unsigned long attributes) {
	MountFlags flags;
	flags.set = attributes;
	MountOwner nobody;
	nobody.may_fork = false;
	const bool is_overlay = source.kind == MountSource::Kind::overlay;
	Fd mount = is_overlay ? mount_overlay(source, flags, nobody) : make_source_mount(source, flags, nobody);
	const bool recursive = source.kind == MountSource::Kind::bind && source.recursive;
	set_mount_attributes(mount.get(), flags, recursive);
	set_mount_propagation(mount.get(), "", MS_PRIVATE, true);
	return mount;
}

Napi::Object mount_handle(Napi::Env env, const Mount &mount) {
	auto handle = Napi::Object::New(env);
	// By pid: our children go through it too.
	handle.Set("path", cat("/proc/", ::getpid(), "/fd/", mount->get()));
	handle.Set("close", Napi::Function::New(env, [mount](const Napi::CallbackInfo &) { mount->reset(); }));
	handle.Set("attach", Napi::Function::New(env, [mount](const Napi::CallbackInfo &info) {
				   guarded(info.Env(), [&] {
					   const std::string path = string_argument(info, 0);
					   const Fd place = open_or_throw(path, O_PATH | O_NOFOLLOW);
					   if (!*mount) {
						   throw_error("internal", cat("cannot mount at '", path, "': the mount is closed"));
					   }
					   move_mount_to(mount->get(), place.get(), "");
				   });
			   }));
	return handle;
}

class MountJob : public Job {
public:
	MountJob(Napi::Env env, MountSource source, unsigned long attributes) : Job(env), source_(std::move(source)), attributes_(attributes) {}

private:
	void work() override { mount_ = std::make_shared<Fd>(mount_source(source_, attributes_)); }
	Napi::Value result(Napi::Env env) override { return mount_handle(env, mount_); }

	MountSource source_;
	unsigned long attributes_;
	Mount mount_;
};

/** Arguments: source, read-only, and whether setuid and device files shall not work. */
Napi::Value mount_detached(const Napi::CallbackInfo &info) {
	return guarded(info.Env(), [&] {
		const unsigned long read_only = info[1].ToBoolean().Value() ? MOUNT_ATTR_RDONLY : 0;
		const unsigned long inert = info[2].ToBoolean().Value() ? MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV : 0;
		return start_job<MountJob>(info.Env(), source_argument(info, 0), read_only | inert);
	});
}
} // namespace

void export_mounts(Napi::Env env, Napi::Object exports) {
	exports.Set("mountDetached", Napi::Function::New(env, mount_detached, "mountDetached"));
}

} // namespace tslxc::addon
