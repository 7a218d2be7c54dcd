{
  # One node-gyp run: the static core, the program, the addon, the native tests.
  "variables": { "san%": "" },
  "target_defaults": {
    "cflags_cc": ["-std=c++20", "-Wall", "-Wextra", "-Werror", "-fPIE"],
    "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
    "ldflags!": ["-rdynamic"],
    "defines": ["_GNU_SOURCE"],
    "conditions": [["san!=''", { "cflags": ["-fsanitize=<(san)", "-fno-omit-frame-pointer"], "ldflags": ["-fsanitize=<(san)"] }]]
  },
  "targets": [
    {
      "target_name": "core",
      "type": "static_library",
      "cflags_cc": ["-fPIC"],
      "sources": ["<!@(ls base/*.cpp kernel/*.cpp spec/*.cpp 2>/dev/null || true)"]
    },
    {
      "target_name": "tslxc",
      "type": "executable",
      "dependencies": ["core"],
      "sources": ["<!@(ls container/*.cpp monitor/*.cpp applets/*.cpp 2>/dev/null || true)"],
      "cflags_cc": ["-Os", "-ffunction-sections", "-fdata-sections"],
      "conditions": [["san==''", { "ldflags": ["-static-pie", "-Wl,--gc-sections"] }]]
    },
    {
      "target_name": "addon",
      "dependencies": ["core"],
      "sources": ["<!@(ls addon/*.cpp 2>/dev/null || true)"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NAPI_CPP_EXCEPTIONS"],
      "cflags_cc": ["-fPIC"],
      "cflags_cc!": ["-fPIE"],
      "libraries": ["-l:libseccomp.a"]
    },
    {
      "target_name": "native_tests",
      "type": "executable",
      "dependencies": ["core"],
      "sources": ["<!@(ls tests/*.cpp container/*.cpp monitor/*.cpp applets/*.cpp 2>/dev/null | grep -v applets/main.cpp)"]
    }
  ]
}
