/* SPDX-License-Identifier: Apache-2.0
 *
 * What every subcommand of `braid` is made of. A command is a row of a table: its options are rows of another, and the
 * same rows parse the command line, print --help and write the man page.
 */
#ifndef BRAID_CLI_H
#define BRAID_CLI_H

#include "braid/runtime.h"

#include <jansson.h>
#include <stdio.h>

/* Exit statuses (docs/cli.md). */
enum cli_exit { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_BAD_INPUT = 3, CLI_PEER = 4, CLI_INTERRUPTED = 130 };

/* -------------------------------------------------------------------------------------------- options */

enum cli_kind {
  CLI_FLAG,  /* bool */
  CLI_INT,   /* int >= 0 */
  CLI_COUNT, /* int >= 1 */
  CLI_REAL,  /* double > 0 */
  CLI_REAL0, /* double >= 0 */
  CLI_TEXT,  /* const char * */
  CLI_LIST,  /* struct cli_list: may be given several times */
  CLI_TIME,  /* int64_t, ns */
  CLI_RATE,  /* double, bits per second */
  CLI_SIZE   /* size_t, bytes */
};

#define CLI_LIST_MAX 32
struct cli_list {
  int n;
  const char *item[CLI_LIST_MAX];
};

struct cli_option {
  const char *name; /* without the dashes */
  char letter;      /* -o; 0: none */
  enum cli_kind kind;
  size_t offset;        /* of the value in the command's struct */
  const char *argument; /* "N"; NULL for flags */
  const char *fallback; /* default, read as the user's text would be; NULL: zero */
  const char *text;
};

#define CLI_OPTIONS_BYTES 2048

struct cli_command {
  const char *name, *arguments, *summary; /* "run", "MODEL", ... */
  const char *details;                    /* paragraphs for --help and the man page; may be NULL */
  int min_args, max_args;                 /* max_args < 0: any number */
  const struct cli_option *options;
  int n_options;
  int (*run)(const void *options, char **args, int n_args);
};
#define CLI_COUNT_OF(array) ((int)(sizeof(array) / sizeof *(array)))

const struct cli_command *const *cli_commands(int *n);
const struct cli_command *cli_command_find(const char *name);
/* The words nearest to `word`, for "did you mean"; NULL when none is near. */
const char *cli_nearest(const char *word, const char *const *known, int n);

/* Fills `values` (CLI_OPTIONS_BYTES, any alignment of malloc) with defaults, then from argv. Positional arguments go to
 * args[0..*n_args). CLI_DONE to go on; CLI_USAGE after saying why; *help set when help was asked for. */
int cli_parse(const struct cli_command *command, int argc, char **argv, void *values, char **args, int *n_args,
              bool *help);
void cli_help(const struct cli_command *command, FILE *out);
void cli_help_all(FILE *out);
/* troff -man, from the same tables; command NULL: braid(1). */
void cli_man(const struct cli_command *command, FILE *out);

/* Those that every command takes, and what one of them does: CLI_DONE, or CLI_USAGE after saying why. */
const struct cli_option *cli_log_options(int *n);
int cli_log_option(const struct cli_option *option, const char *text);

/* Options that many commands share; `type` is the command's struct, `member` its struct cli_exec. */
struct cli_exec {
  int threads;
  const char *pin, *kernels;
};
#define CLI_EXEC_OPTIONS(type, member)                                                                                 \
  {"threads", 0, CLI_INT, offsetof(type, member.threads), "N", "0", "worker threads; 0: one for every core"},          \
      {"pin", 0, CLI_TEXT, offsetof(type, member.pin), "CONFIG", NULL, "pinning config (YAML); see 'braid topo'"}, {   \
    "kernels", 0, CLI_TEXT, offsetof(type, member.kernels), "ref|rules|fast", "fast",                                  \
        "fast: what 'braid tune' has measured, the best by rule for this CPU where it has not; rules: by rule "        \
        "everywhere; ref: the obvious loops that define the results"                                                   \
  }
#define CLI_JSON_OPTION(type, member)                                                                                  \
  { "json", 0, CLI_FLAG, offsetof(type, member), NULL, NULL, "print JSON (fields in docs/cli.md)" }

#define CLI_HEARTBEAT_OPTION(type, member)                                                                             \
  { "heartbeat", 0, CLI_TIME, offsetof(type, member), "TIME", "500ms", "after two of them in silence a peer is gone" }
/* CLI_DONE, or CLI_USAGE after saying what is wrong with it. */
int cli_check_heartbeat(int64_t ns);

/* ------------------------------------------------------------------------------------- saying things */

/* "braid: TEXT" on stderr; with --log-format json an object as braid_log's. */
int cli_usage(const char *format, ...) BRAID_PRINTF(1, 2); /* returns CLI_USAGE */
/* Prints braid_error() and returns `exit`. */
int cli_fail(enum cli_exit exit);
/* Prints one JSON value on one line and takes it. */
int cli_print_json(json_t *value);
/* A line "KIND TEXT", or {event,text}, on standard output at once: scripts wait for them. Any thread; never waits for a
 * reader (events.c). With --log-format json also on stderr, as an event of that kind. */
void cli_event(bool json, const char *kind, const char *text);
json_t *cli_shape_json(const struct braid_shape *shape);
json_t *cli_ids_json(const int *id, int n);
double cli_ms(int64_t ns);

/* The first SIGINT or SIGTERM, 0 before it; the second ends the process. */
int cli_interrupted(void);
void cli_catch_signals(void);
/* Called in the handler of that first signal, so it may do only what handlers may; NULL: nothing. */
void cli_at_signal(void (*hook)(void));

/* A table of texts: columns are as wide as their widest cell; numbers (cells that start with a digit, sign or "inf") go
 * right. */
struct cli_table;
struct cli_table *cli_table_new(int columns, const char *const *heading);
void cli_table_cell(struct cli_table *table, const char *format, ...)
    BRAID_PRINTF(2, 3);                                            /* left to right, row by row */
void cli_table_print(struct cli_table *table, FILE *out);          /* and frees it */
void cli_table_print_markdown(struct cli_table *table, FILE *out); /* the same for documents */
void cli_table_free(struct cli_table *table);

/* A bar on stderr when that is a terminal, else nothing. done == total ends it. */
void cli_progress(const char *what, int done, int total);

/* ------------------------------------------------------------------------------------- common steps */

bool cli_in_zoo(const char *name);
/* Opens the model or prints why not: CLI_DONE or CLI_BAD_INPUT. */
int cli_open_model(const char *name, int batch, struct braid_graph **out);

/* Workers, pinning and kernels as the options say: CLI_DONE or an exit status after saying why. */
struct cli_machine {
  int workers;
  uint32_t cpu_flags;
  struct braid_choices *choices; /* the user's, of 'braid tune'; NULL: there are none, or they were not asked for */
  struct braid_topology *topology;
  struct braid_pin *pin;
};
int cli_machine_open(const struct cli_exec *exec, struct cli_machine *out);
void cli_machine_close(struct cli_machine *machine);

/* Order statistics of a copy of the values. */
struct cli_stats {
  double min, p50, p90, p99, max;
};
struct cli_stats cli_stats_of(const double *value, int n);
size_t cli_peak_rss_bytes(void);
int64_t cli_now_ns(void); /* monotonic */

/* ------------------------------------------------------------------------------------- classes */

struct cli_labels {
  int n;
  char **line;
};
int cli_labels_read(const char *path, struct cli_labels *out); /* NULL path: none */
void cli_labels_free(struct cli_labels *labels);
/* The k largest of image n of an output tensor as [{class,label,score}]; an empty list where the output is no list of
 * scores. */
json_t *cli_top(const struct braid_tensor *output, int image, int k, const struct cli_labels *labels);
void cli_print_top(json_t *top, FILE *out);

#endif
