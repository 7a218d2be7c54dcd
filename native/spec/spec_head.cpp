#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "../base/text.hpp"
#include "spec.hpp"

namespace tslxc {

namespace {
/** Fills a SpecHead from the events of the parser and stops it at `name`, the first key behind the head. */
class HeadSax : public nlohmann::json_sax<nlohmann::json> {
public:
	SpecHead head;
	bool complete = false;

	bool key(string_t &text) override {
		if (depth_ > 1) {
			key_ = text;
			return true;
		}
		if (text == "name") {
			complete = version_ == 1;
			return false;
		}
		top_ = text;
		key_.clear();
		return true;
	}
	bool start_object(std::size_t) override {
		depth_++;
		return true;
	}
	bool end_object() override {
		depth_--;
		return true;
	}
	bool start_array(std::size_t) override {
		depth_++;
		if (top_ == "stamps" && depth_ == 3) {
			head.stamps.emplace_back();
			head.stamps.back().absent = true;
			column_ = 0;
		}
		return true;
	}
	bool end_array() override {
		depth_--;
		return true;
	}
	bool string(string_t &text) override {
		if (depth_ == 1 && top_ == "build") {
			head.build = text;
		} else if (top_ == "listing" && key_ == "groups") {
			head.listing.groups.push_back(text);
		} else if (top_ == "stamps" && depth_ == 3) {
			take_stamp_text(text);
		}
		return true;
	}
	bool number_integer(number_integer_t number) override { return take_number(number); }
	bool number_unsigned(number_unsigned_t number) override { return take_number(static_cast<std::int64_t>(number)); }
	bool boolean(bool value) override {
		if (top_ == "listing" && key_ == "autostart") {
			head.listing.autostart = value;
		} else if (top_ == "listing" && key_ == "unprivileged") {
			head.listing.unprivileged = value;
		}
		return true;
	}
	bool number_float(number_float_t, const string_t &) override { return false; }
	bool null() override { return false; }
	bool binary(binary_t &) override { return false; }
	bool parse_error(std::size_t, const std::string &, const nlohmann::detail::exception &) override { return false; }

private:
	int depth_ = 0;
	int column_ = 0;
	std::int64_t version_ = 0;
	std::string top_, key_;

	bool take_number(std::int64_t number) {
		if (depth_ == 1 && top_ == "version") {
			version_ = number;
		} else if (top_ == "listing" && key_ == "order") {
			head.listing.order = static_cast<int>(number);
		} else if (top_ == "listing" && key_ == "delaySeconds") {
			head.listing.delay_seconds = static_cast<int>(number);
		} else if (top_ == "stamps" && depth_ == 3) {
			head.stamps.back().size = number;
			column_++;
		}
		return true;
	}
	void take_stamp_text(const std::string &text) {
		Stamp &stamp = head.stamps.back();
		const int column = column_++;
		stamp.absent = column == 0;
		(column == 0 ? stamp.path : column == 1 ? stamp.dev : column == 2 ? stamp.inode : stamp.ctime_ns) = text;
	}
};

std::string stamp_text(const Stamp &stamp) {
	return stamp.absent ? std::string() : cat(stamp.dev, ' ', stamp.inode, ' ', stamp.size, ' ', stamp.ctime_ns);
}
} // namespace

std::optional<SpecHead> parse_spec_head(std::string_view json) {
	HeadSax sax;
	nlohmann::json::sax_parse(json.begin(), json.end(), &sax);
	return sax.complete ? std::optional(std::move(sax.head)) : std::nullopt;
}

Stamp stamp_of(const std::string &path) {
	Stamp stamp;
	stamp.path = path;
	struct stat status;
	stamp.absent = ::stat(path.c_str(), &status) < 0;
	if (!stamp.absent) {
		stamp.dev = cat(status.st_dev);
		stamp.inode = cat(status.st_ino);
		stamp.size = status.st_size;
		stamp.ctime_ns = cat(static_cast<std::int64_t>(status.st_ctim.tv_sec) * 1'000'000'000 + status.st_ctim.tv_nsec);
	}
	return stamp;
}

bool is_stale(const SpecHead &head, std::string_view build_id, StampCache &seen) {
	if (head.build != build_id) {
		return true;
	}
	for (const Stamp &stamp : head.stamps) {
		auto found = seen.find(stamp.path);
		if (found == seen.end()) {
			found = seen.emplace(stamp.path, stamp_text(stamp_of(stamp.path))).first;
		}
		if (found->second != stamp_text(stamp)) {
			return true;
		}
	}
	return false;
}

} // namespace tslxc
