/* daemon/service/operator_token.c - dashd token add, list, revoke: changes to tokens.json, each
 * with a line in the audit log. A dashd that runs takes them over within a second. */
#include "core/clock.h"
#include "daemon/service/audit.h"
#include "daemon/service/operator.h"
#include "daemon/service/options.h"
#include "daemon/service/tokens.h"
#include <argp.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { OPTION_STATE = 256, OPTION_ROLE, OPTION_EXPIRES, OPTION_CERTIFICATE, OPTION_OUTPUT };
enum { MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400, YEARS_MAX = 100 };

struct command {
    const char *state, *verb, *name;
    struct token entry;
    bool json;
};

static const struct argp_option options[] = {
    {"state", OPTION_STATE, "DIR", 0, "State folder of dashd (default: as dashd's own)", 0},
    {"role", OPTION_ROLE, "ROLE", 0, "add: read, submit or admin", 0},
    {"expires", OPTION_EXPIRES, "TIME", 0,
     "add: how long it holds: 12h, 30d, 52w (default: until it is revoked)", 0},
    {"certificate", OPTION_CERTIFICATE, NULL, 0,
     "NAME is the common name of a client's certificate (dashd --client-ca), not a token", 0},
    {"output", OPTION_OUTPUT, "FORMAT", 0, "list: text (default) or json", 0},
    {0},
};

/* "30d" from now on. */
static bool parse_time(const char *text, int64_t *ret_ms)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'m', MINUTE_S}, {'h', HOUR_S}, {'d', DAY_S}, {'w', (int64_t)7 * DAY_S}};
    char *end;
    long n = strtol(text, &end, 10);
    size_t i;

    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (end != text && end[0] == units[i].unit && !end[1] && n >= 1 &&
            n <= (int64_t)YEARS_MAX * 365 * DAY_S / units[i].seconds) {
            *ret_ms = clock_unix_ms() + n * units[i].seconds * 1000;
            return true;
        }
    return false;
}

static void parse_word(struct command *c, struct argp_state *state, const char *word)
{
    if (!c->verb)
        c->verb = word;
    else if (!c->name)
        c->name = word;
    else
        argp_error(state, "unexpected argument '%s'", word);
}

static void check(const struct command *c, struct argp_state *state)
{
    bool adds = c->verb && strcmp(c->verb, "add") == 0;
    bool lists = c->verb && strcmp(c->verb, "list") == 0;

    if (!c->verb || (!adds && !lists && strcmp(c->verb, "revoke") != 0))
        argp_error(state, "say add, list or revoke");
    if (lists && c->name)
        argp_error(state, "list takes no name");
    if (!lists && !c->name)
        argp_error(state, "%s needs a name", c->verb);
    if (adds && c->entry.role == ROLE_NOBODY)
        argp_error(state, "add needs --role read, submit or admin");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct command *c = state->input;

    switch (key) {
    case OPTION_STATE:
        c->state = arg;
        return 0;
    case OPTION_ROLE:
        if (!role_from_name(arg, &c->entry.role))
            argp_error(state, "--role is read, submit or admin, not '%s'", arg);
        return 0;
    case OPTION_EXPIRES:
        if (!parse_time(arg, &c->entry.expires_ms))
            argp_error(state, "--expires is a number with m, h, d or w, such as 30d, not '%s'",
                       arg);
        return 0;
    case OPTION_CERTIFICATE:
        c->entry.certificate = true;
        return 0;
    case OPTION_OUTPUT:
        if (strcmp(arg, "json") != 0 && strcmp(arg, "text") != 0)
            argp_error(state, "--output is text or json, not '%s'", arg);
        c->json = strcmp(arg, "json") == 0;
        return 0;
    case ARGP_KEY_ARG:
        parse_word(c, state, arg);
        return 0;
    case ARGP_KEY_END:
        check(c, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp parser = {
    .options = options,
    .parser = parse,
    .args_doc = "add NAME\nlist\nrevoke NAME",
    .doc =
        "Says who may call dashd by TCP. `add` prints the token, once. Roles: read looks at jobs; "
        "submit creates jobs, and cancels and deletes its own; admin may do everything. A dashd "
        "that runs takes changes over within a second."};

/* ---- the commands ---- */

static void write_audit(const char *state, const struct command *c)
{
    char caller[32], method[32];
    struct audit_line line = {.caller = caller,
                              .peer = "command line",
                              .method = method,
                              .outcome = "OK",
                              .reason = c->name};
    struct audit *audit = NULL;

    snprintf(caller, sizeof(caller), "uid:%u", (unsigned)geteuid());
    snprintf(method, sizeof(method), "dashd token %s", c->verb);
    if (audit_open(state, &audit, NULL) < 0)
        return;
    audit_write(audit, &line);
    audit_close(audit);
}

static int add(const char *state, struct command *c, struct err *err)
{
    char secret[TOKEN_SECRET_SIZE];
    int rc = tokens_check_name(c->name, c->entry.certificate, err);

    if (rc < 0)
        return rc;
    strcpy(c->entry.name, c->name);
    rc = tokens_add(state, &c->entry, secret, err);
    if (rc < 0)
        return rc;
    if (!c->entry.certificate)
        printf("%s\n", secret);
    explicit_bzero(secret, sizeof(secret));
    fprintf(stderr, "%s %s has the role %s%s\n", c->entry.certificate ? "certificate" : "token",
            c->entry.name, role_name(c->entry.role),
            c->entry.certificate ? "" : "; this is the only time that it is shown");
    return 0;
}

static void when(int64_t ms, const char *never, char out[32])
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;

    if (ms)
        strftime(out, 32, "%Y-%m-%d %H:%M", localtime_r(&s, &tm));
    else
        snprintf(out, 32, "%s", never);
}

static void print_text(const struct tokens *t)
{
    char created[32], expires[32], used[32];
    int i;

    printf("%-20s %-11s %-6s  %-16s  %-16s  %s\n", "NAME", "KIND", "ROLE", "CREATED", "EXPIRES",
           "LAST USED");
    for (i = 0; i < t->n; i++) {
        const struct token *e = &t->items[i];
        when(e->created_ms, "-", created);
        when(e->expires_ms, "never", expires);
        when(e->used_ms, "never", used);
        printf("%-20s %-11s %-6s  %-16s  %-16s  %s\n", e->name,
               e->certificate ? "certificate" : "token", role_name(e->role), created,
               token_has_expired(e, clock_unix_ms()) ? "has expired" : expires, used);
    }
}

static void print_json(const struct tokens *t)
{
    json_t *all = json_array();
    int i;

    for (i = 0; i < t->n; i++) {
        const struct token *e = &t->items[i];
        json_array_append_new(
            all, json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "name", e->name, "kind",
                           e->certificate ? "certificate" : "token", "role", role_name(e->role),
                           "created_ms", (json_int_t)e->created_ms, "expires_ms",
                           (json_int_t)e->expires_ms, "used_ms", (json_int_t)e->used_ms));
    }
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}

static int list(const char *state, const struct command *c, struct err *err)
{
    struct tokens t = {0};
    int rc = tokens_read(state, &t, err);

    if (rc < 0)
        return rc;
    tokens_read_uses(state, &t);
    if (c->json)
        print_json(&t);
    else
        print_text(&t);
    tokens_free(&t);
    return 0;
}

static int check_owner(const char *state, struct err *err)
{
    struct stat st;

    if (stat(state, &st) < 0)
        return err_errno(err, "%s", state);
    if (st.st_uid != geteuid())
        return err_set(err, ERR_INVALID,
                       "%s belongs to another user (uid %ld): run this as that user", state,
                       (long)st.st_uid);
    return 0;
}

static int run(struct command *c, struct err *err)
{
    char *state = NULL;
    int rc = options_state(c->state, &state, err);

    if (rc == 0)
        rc = check_owner(state, err);
    if (rc == 0 && strcmp(c->verb, "list") == 0) {
        rc = list(state, c, err);
    } else if (rc == 0) {
        rc = strcmp(c->verb, "add") == 0 ? add(state, c, err)
                                         : tokens_remove(state, c->name, c->entry.certificate, err);
        if (rc == 0)
            write_audit(state, c);
    }
    free(state);
    return rc;
}

int operator_token(int argc, char **argv)
{
    struct command c = {0};
    struct err err;

    argv[0] = (char *)"dashd token";
    argp_parse(&parser, argc, argv, 0, NULL, &c);
    umask(0077);
    if (run(&c, &err) == 0)
        return 0;
    fprintf(stderr, "dashd token: %s\n", err.text);
    return 1;
}
