/* client/client.h - what dashctl's commands share: the server they talk to, how they print, how
 * they fail.
 *
 * A command is a function that parses its own arguments (argp, with client_argp as a child) and
 * returns an exit status: 0, 1 (it failed, or the job did), 2 (usage error). Results go
 * to stdout, all other words to stderr.
 */
#pragma once
#include "core/err.h"
#include "core/problems.h"
#include "proto/channel.h"
#include "proto/dash.pb-c.h"
#include <argp.h>
#include <stdbool.h>

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };
enum { CALL_TIMEOUT_MS = 30 * 1000, VALIDATE_TIMEOUT_MS = 15 * 60 * 1000 };

struct client {
    const char *server;    /* address; from --server, $DASH_SERVER or the default */
    bool server_was_named; /* by --server */
    bool server_from_env;
    char *default_server;
    bool json;
    struct channel *channel; /* opened by the first call */
};

/* --server and --output, for every command. Its input is a struct client. */
extern const struct argp client_argp;

/* A channel to the server: with the CA and the token of a login (logins.h), where it is a TCP
 * address; in plain text to a unix socket, and to a loopback address without a login. */
int client_open_channel(const struct client *c, struct channel **ret_channel, struct err *err);

struct login;
/* The same, by a login that need not be kept. */
int client_open_login(const struct login *l, struct channel **ret_channel, struct err *err);

/* Whether the last call or stream on the channel failed since a sign-in by MUNGE has ended, with
 * its hour or with its dashd, and is worth doing again on a new channel. channel may be NULL. */
bool client_has_expired(const struct client *c, const struct channel *channel);
/* Whether that was so on c->channel, and it is a new one now. */
bool client_sign_in_again(struct client *c);

/* Calls FineTuning/`method`. The caller frees *ret_reply. On failure the words have been printed
 * and EXIT_FAILED is returned. */
int client_call(struct client *c, const char *method, const ProtobufCMessage *request,
                const ProtobufCMessageDescriptor *reply_type, int timeout_ms, void *ret_reply);

/* Prints "dashctl: <what is wrong>" and returns EXIT_FAILED. */
int client_fail(const struct err *err);
int client_fail_with(const char *text);
/* The problems, where there are any, else err. */
int client_fail_problems(const struct problems *problems, const struct err *err);

/* A dashd was named, or answers at the default address. */
bool client_has_dashd(const struct client *c);

/* ID, --server and --output, for commands about one job. Its input is a struct job_argument. */
struct job_argument {
    struct client *client; /* set before parsing */
    char *id;
};
extern const struct argp job_argument_argp;
/* argp_parse() of a command that takes these alone: its ID. */
char *client_parse_job(struct client *c, int argc, char **argv, const char *doc);
/* Ends dashctl with a usage error if arg is not an integer of [least, most]. */
long client_parse_integer(struct argp_state *state, const char *option, const char *arg, long least,
                          long most);

/* The commands. argv[0] is "dashctl <command>". */
int cmd_run(struct client *c, int argc, char **argv);
int cmd_submit(struct client *c, int argc, char **argv);
int cmd_tokenize(struct client *c, int argc, char **argv);
int cmd_list(struct client *c, int argc, char **argv);
int cmd_show(struct client *c, int argc, char **argv);
int cmd_watch(struct client *c, int argc, char **argv);
int cmd_logs(struct client *c, int argc, char **argv);
int cmd_cancel(struct client *c, int argc, char **argv);
int cmd_pause(struct client *c, int argc, char **argv);
int cmd_resume(struct client *c, int argc, char **argv);
int cmd_delete(struct client *c, int argc, char **argv);
int cmd_update(struct client *c, int argc, char **argv);
int cmd_events(struct client *c, int argc, char **argv);
int cmd_files(struct client *c, int argc, char **argv);
int cmd_checkpoints(struct client *c, int argc, char **argv);
int cmd_download(struct client *c, int argc, char **argv);
int cmd_plan(struct client *c, int argc, char **argv);
int cmd_sbatch(struct client *c, int argc, char **argv);
int cmd_generate(struct client *c, int argc, char **argv);
int cmd_eval(struct client *c, int argc, char **argv);
int cmd_data(struct client *c, int argc, char **argv);
int cmd_init(struct client *c, int argc, char **argv);
int cmd_web(struct client *c, int argc, char **argv);
int cmd_login(struct client *c, int argc, char **argv);
int cmd_logout(struct client *c, int argc, char **argv);
int cmd_export(struct client *c, int argc, char **argv);
int cmd_report(struct client *c, int argc, char **argv);
int cmd_compare(struct client *c, int argc, char **argv);
int cmd_doctor(struct client *c, int argc, char **argv);
