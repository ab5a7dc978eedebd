/* web/assets.h - the files of the page, embedded by web/CMakeLists.txt. */
#pragma once
#include <stddef.h>

struct web_asset {
    const char *name; /* "index.html" */
    const char *type; /* "text/html; charset=utf-8" */
    const unsigned char *bytes;
    const size_t *len;
};

extern const struct web_asset web_assets[];
extern const int web_assets_n;
