/* client/main.c - dashctl: finds the command and hands it its arguments. */
#include "client/client.h"
#include "core/job/job_keys.h"
#include "core/output.h"
#include "core/paths.h"
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct command {
    const char *name;
    int (*run)(struct client *c, int argc, char **argv);
    const char *arguments, *summary;
} commands[] = {
    {"init", cmd_init, "MODEL DATA", "write a job file after a look at a model and its data"},
    {"run", cmd_run, "JOB.YAML", "train in the foreground; no server needed"},
    {"submit", cmd_submit, "JOB.YAML", "queue a job"},
    {"list", cmd_list, "", "list the jobs"},
    {"show", cmd_show, "ID", "show a job in full"},
    {"watch", cmd_watch, "ID", "show a job as it runs"},
    {"logs", cmd_logs, "ID", "print a job's log"},
    {"cancel", cmd_cancel, "ID", "stop a job after a checkpoint"},
    {"pause", cmd_pause, "ID", "stop a job after a checkpoint, to be resumed"},
    {"resume", cmd_resume, "ID", "continue a job that failed, was cancelled or is paused"},
    {"update", cmd_update, "ID", "change a job's priority and labels"},
    {"events", cmd_events, "ID", "list what has happened to a job"},
    {"checkpoints", cmd_checkpoints, "ID", "list a job's checkpoints"},
    {"files", cmd_files, "ID", "list a job's files"},
    {"download", cmd_download, "ID [PATH...]", "copy a job's files from dashd"},
    {"report", cmd_report, "ID|FOLDER", "write a job's curves and directions as one page"},
    {"compare", cmd_compare, "A B...", "put jobs side by side"},
    {"delete", cmd_delete, "ID", "forget a job that has ended"},
    {"plan", cmd_plan, "JOB.YAML", "check a job and show what would run"},
    {"data", cmd_data, "check ...", "check a job's data, and show a row as the model sees it"},
    {"sbatch", cmd_sbatch, "JOB.YAML", "write a Slurm batch script that trains without a dashd"},
    {"generate", cmd_generate, "...", "answer prompts with a model, with or without an adapter"},
    {"eval", cmd_eval, "[FOLDER] ...", "measure a model on a data set, with or without an adapter"},
    {"export", cmd_export, "FOLDER ...",
     "write what was trained for PEFT, vLLM, llama.cpp or Ollama"},
    {"tokenize", cmd_tokenize, "[FILE]", "print the token ids of a text"},
    {"web", cmd_web, "", "print the address of dashd's page"},
    {"login", cmd_login, "ADDRESS", "keep a token of a dashd on another machine"},
    {"logout", cmd_logout, "ADDRESS", "forget that token"},
    {"doctor", cmd_doctor, "", "check this machine and cluster, and suggest fixes"},
};
enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static const struct command *find_command(const char *name)
{
    int i;

    for (i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static const struct command *nearest_command(const char *name)
{
    const struct command *nearest = NULL;
    int least = 3, d, i;

    for (i = 0; i < N_COMMANDS; i++) {
        d = word_distance(name, commands[i].name, least);
        if (d < least) {
            least = d;
            nearest = &commands[i];
        }
    }
    return nearest;
}

static void print_help(FILE *to)
{
    int i;

    fprintf(to, "Fine-tunes language models with LoRA-Dash.\n\n"
                "Usage: dashctl [--server ADDRESS] COMMAND ...\n\nCommands:\n");
    for (i = 0; i < N_COMMANDS; i++)
        fprintf(to, "  %-11s %-12s %s\n", commands[i].name, commands[i].arguments,
                commands[i].summary);
    fprintf(to,
            "\nSee `dashctl help COMMAND` for more. Every command takes --server ADDRESS (or "
            "$DASH_SERVER) and\n--output json. Exit status: 0 done, 1 failed, 2 usage error.\n");
}

static int unknown_command(const char *name)
{
    const struct command *nearest = nearest_command(name);

    if (nearest)
        fprintf(stderr, "dashctl: there is no command '%s': did you mean '%s'?\n", name,
                nearest->name);
    else
        fprintf(stderr, "dashctl: there is no command '%s': `dashctl --help` lists them\n", name);
    return EXIT_USAGE;
}

static int run_command(struct client *c, int argc, char **argv)
{
    const struct command *command = find_command(argv[0]);
    char title[64];

    if (!command)
        return unknown_command(argv[0]);
    snprintf(title, sizeof(title), "dashctl %s", command->name);
    argv[0] = title;
    return command->run(c, argc, argv);
}

static int help(struct client *c, const char *name)
{
    char *argv[] = {(char *)name, (char *)"--help", NULL};

    if (name)
        return run_command(c, 2, argv);
    print_help(stdout);
    return EXIT_OK;
}

/* What stands before the command. */
struct before {
    struct client *client;
    int command_at; /* in argv; 0: none */
    bool help;
};

static error_t parse_before(int key, char *arg, struct argp_state *state)
{
    struct before *b = state->input;

    (void)arg;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = b->client;
        return 0;
    case 'h':
        b->help = true;
        state->next = state->argc;
        return 0;
    case ARGP_KEY_ARG:
        b->command_at = state->next - 1;
        state->next = state->argc; /* the rest is the command's */
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int dispatch(struct client *c, int argc, char **argv)
{
    static const struct argp_option options[] = {{"help", 'h', NULL, 0, "", 0}, {0}};
    const struct argp_child children[] = {{&client_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {.options = options, .parser = parse_before, .children = children};
    struct before before = {.client = c};
    char **rest;

    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("dashctl " DASH_VERSION);
        return EXIT_OK;
    }
    argp_parse(&parser, argc, argv, ARGP_IN_ORDER | ARGP_NO_HELP, NULL, &before);
    rest = argv + before.command_at;
    if (before.help || (before.command_at && strcmp(rest[0], "help") == 0))
        return help(c, before.help ? NULL : rest[1]);
    if (before.command_at)
        return run_command(c, argc - before.command_at, rest);
    print_help(stderr);
    return EXIT_USAGE;
}

static int find_server(struct client *c, struct err *err)
{
    const char *named = getenv("DASH_SERVER");
    int rc;

    if (named && named[0]) {
        c->server = named;
        c->server_from_env = true;
        return 0;
    }
    rc = paths_address(NULL, &c->default_server, err);
    c->server = c->default_server;
    return rc;
}

int main(int argc, char **argv)
{
    struct client c = {0};
    struct err err;
    int status;

    output_check_at_exit();
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write(2) like others */
    setlocale(LC_CTYPE, "");
    argp_err_exit_status = EXIT_USAGE;
    status = find_server(&c, &err) < 0 ? client_fail(&err) : dispatch(&c, argc, argv);
    channel_close(c.channel);
    free(c.default_server);
    return status;
}
