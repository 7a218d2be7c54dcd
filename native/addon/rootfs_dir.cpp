// openRootfsDir: ConfinedDir as a JavaScript object.
#include <sys/stat.h>

#include <memory>

#include "confined_dir.hpp"
#include "convert.hpp"

namespace tslxc::addon {

namespace {
using Dir = std::shared_ptr<ConfinedDir>;

template <typename Method> void add(Napi::Object object, const char *name, Dir dir, Method method) {
	const auto call = [dir, method](const Napi::CallbackInfo &info) -> Napi::Value {
		return guarded(info.Env(), [&]() -> Napi::Value { return method(*dir, info); });
	};
	object.Set(name, Napi::Function::New(object.Env(), call, name));
}

Owner owner_argument(const Napi::CallbackInfo &info, std::size_t index) {
	return Owner{uint_argument(info, index), uint_argument(info, index + 1)};
}

Napi::Value optional_string(Napi::Env env, const std::optional<std::string> &text) {
	return text ? Napi::Value(Napi::String::New(env, *text)) : env.Undefined();
}

Napi::Value read(const ConfinedDir &dir, const Napi::CallbackInfo &info) {
	const auto content = dir.read(string_argument(info, 0), uint_argument(info, 1));
	return content ? Napi::Value(Napi::Buffer<char>::Copy(info.Env(), content->data(), content->size())) : info.Env().Undefined();
}

Napi::Value write(const ConfinedDir &dir, const Napi::CallbackInfo &info) {
	const auto content = info[1].As<Napi::Buffer<char>>();
	dir.write(string_argument(info, 0), {content.Data(), content.Length()}, uint_argument(info, 2), owner_argument(info, 3));
	return info.Env().Undefined();
}

Napi::Value list(const ConfinedDir &dir, const Napi::CallbackInfo &info) {
	const auto names = dir.list(string_argument(info, 0));
	if (!names) {
		return info.Env().Undefined();
	}
	auto array = Napi::Array::New(info.Env(), names->size());
	for (std::size_t i = 0; i < names->size(); i++) {
		array[static_cast<std::uint32_t>(i)] = Napi::String::New(info.Env(), (*names)[i]);
	}
	return array;
}

const char *type_name(mode_t mode) {
	return S_ISREG(mode) ? "file" : S_ISDIR(mode) ? "dir" : S_ISLNK(mode) ? "symlink" : "other";
}

Napi::Value status(const ConfinedDir &dir, const Napi::CallbackInfo &info) {
	const auto found = dir.status(string_argument(info, 0));
	if (!found) {
		return info.Env().Undefined();
	}
	auto object = Napi::Object::New(info.Env());
	object.Set("type", type_name(found->mode));
	object.Set("mode", found->mode & 07777);
	object.Set("uid", found->uid);
	object.Set("gid", found->gid);
	object.Set("size", static_cast<double>(found->size));
	return object;
}

Napi::Value open_dir(const Napi::CallbackInfo &info) {
	const Napi::Env env = info.Env();
	return guarded(env, [&]() -> Napi::Value {
		const Dir dir = std::make_shared<ConfinedDir>(string_argument(info, 0));
		auto object = Napi::Object::New(env);
		add(object, "read", dir, read);
		add(object, "write", dir, write);
		add(object, "list", dir, list);
		add(object, "stat", dir, status);
		add(object, "mkdir", dir, [](const ConfinedDir &self, const Napi::CallbackInfo &call) {
			self.make_dir(string_argument(call, 0), uint_argument(call, 1), owner_argument(call, 2));
			return call.Env().Undefined();
		});
		add(object, "symlink", dir, [](const ConfinedDir &self, const Napi::CallbackInfo &call) {
			self.symlink(string_argument(call, 0), string_argument(call, 1));
			return call.Env().Undefined();
		});
		add(object, "remove", dir, [](const ConfinedDir &self, const Napi::CallbackInfo &call) {
			self.remove(string_argument(call, 0));
			return call.Env().Undefined();
		});
		add(object, "chmod", dir, [](const ConfinedDir &self, const Napi::CallbackInfo &call) {
			self.change_mode(string_argument(call, 0), uint_argument(call, 1));
			return call.Env().Undefined();
		});
		add(object, "chown", dir, [](const ConfinedDir &self, const Napi::CallbackInfo &call) {
			self.change_owner(string_argument(call, 0), owner_argument(call, 1));
			return call.Env().Undefined();
		});
		add(object, "readlink", dir, [](const ConfinedDir &self, const Napi::CallbackInfo &call) {
			return optional_string(call.Env(), self.read_link(string_argument(call, 0)));
		});
		add(object, "close", dir, [](ConfinedDir &self, const Napi::CallbackInfo &call) {
			self.close();
			return call.Env().Undefined();
		});
		return object;
	});
}
} // namespace

void export_rootfs_dir(Napi::Env env, Napi::Object exports) {
	exports.Set("openRootfsDir", Napi::Function::New(env, open_dir, "openRootfsDir"));
}

} // namespace tslxc::addon
