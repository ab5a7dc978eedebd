/* core/paths.h - where dashd and dashctl meet when nobody says otherwise. */
#pragma once
#include "core/err.h"
#include <stdbool.h>

/* The state folder: $XDG_STATE_HOME/dash, else ~/.local/state/dash. Caller frees *ret_path. */
int paths_state(char **ret_path, struct err *err);

/* The folder of decompositions (worker/spectrum_cache.h): $DASH_CACHE, else
 * $XDG_CACHE_HOME/dash/spectra, else ~/.cache/dash/spectra. NULL where none is known; the caller
 * frees it. */
char *paths_cache(void);

/* The folder of dashctl's settings: $XDG_CONFIG_HOME/dash, else ~/.config/dash. Caller frees
 * *ret_path. */
int paths_config(char **ret_path, struct err *err);

/* "unix:<state>/dashd.sock", the address that dashd listens on for this state folder (NULL: the
 * default one). A path too long for a unix socket is refused. Caller frees *ret_address. */
int paths_address(const char *state, char **ret_address, struct err *err);

/* The folder of the running executable: the programs lie side by side. Caller frees *ret_path. */
int paths_programs(char **ret_path, struct err *err);

/* `name` in the folder of the running executable. Caller frees *ret_path. */
int paths_sibling(const char *name, char **ret_path, struct err *err);

/* Whether PATH holds a program of this name. */
bool paths_has_program(const char *name);
