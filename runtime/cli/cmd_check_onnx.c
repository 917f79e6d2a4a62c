/* SPDX-License-Identifier: Apache-2.0
 * braid check-onnx: ONNX's backend test suite, or any folders of that form. */
#include "commands.h"
#include "onnx_case.h"

#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct check_options {
  struct cli_exec exec;
  bool json, verbose, round_trip;
};
static const struct cli_option options[] = {
    CLI_EXEC_OPTIONS(struct check_options, exec),
    {"verbose", 'v', CLI_FLAG, offsetof(struct check_options, verbose), NULL, NULL,
     "list the cases that are not supported, too, and what was special about those that passed"},
    {"round-trip", 0, CLI_FLAG, offsetof(struct check_options, round_trip), NULL, NULL,
     "run what comes back when 'braid export' has written the model"},
    CLI_JSON_OPTION(struct check_options, json),
};

/* ------------------------------------------------------------------------------------ finding the cases */

struct case_list {
  char **dir;
  int n, capacity;
};

static void list_free(struct case_list *list) {
  for (int i = 0; i < list->n; i++) braid_free(list->dir[i]);
  braid_free(list->dir);
}

static bool list_add(struct case_list *list, const char *dir) {
  if (list->n == list->capacity) {
    int capacity = list->capacity ? 2 * list->capacity : 256;
    char **grown = braid_realloc(list->dir, (size_t)capacity * sizeof *grown);
    if (!grown) return false;
    list->dir = grown;
    list->capacity = capacity;
  }
  list->dir[list->n] = braid_strdup(dir);
  return list->dir[list->n] && ++list->n;
}

static bool is_folder(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A case, or whatever folders lie below, in the order of their names; a cycle of links ends at the depth's limit. */
static int find_cases(const char *dir, int depth, struct case_list *list) {
  struct dirent **entry;
  if (onnx_case_is(dir)) return list_add(list, dir) ? CLI_DONE : CLI_FAILED;
  int n = depth < 8 ? scandir(dir, &entry, NULL, alphasort) : 0, exit = CLI_DONE;
  if (n < 0) {
    fprintf(stderr, "braid: %s: %s\n", dir, strerror(errno));
    return CLI_BAD_INPUT;
  }
  for (int i = 0; i < n; i++) {
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", dir, entry[i]->d_name);
    bool descend = entry[i]->d_name[0] != '.' && length < (int)sizeof path && exit == CLI_DONE && is_folder(path);
    if (descend) exit = find_cases(path, depth + 1, list);
    free(entry[i]);
  }
  if (depth < 8) free(entry);
  return exit;
}

/* --------------------------------------------------------------------------------------------- results */

struct results {
  int count[3]; /* by enum case_status */
  json_t *cases;
  json_t *subjects; /* what is not supported -> number of cases */
};

/* The operators of "2 unsupported operators: Loop (node ..), If (node ..)" or "node 'x' (Loop, opset 11): ..", or the
 * whole reason where it names none. */
static void subject_of(const char *reason, char *buf, size_t size) {
  const char *list = strstr(reason, "unsupported operator"), *node = strncmp(reason, "node '", 6) == 0 ? reason : NULL;
  list = list ? strstr(list, ": ") : NULL;
  const char *name = list ? list + 2 : node && strstr(node, "' (") ? strstr(node, "' (") + 3 : reason;
  size_t n = name == reason ? strlen(name) : strcspn(name, " ,");
  snprintf(buf, size, "%.*s", (int)(n < 100 ? n : 100), name);
}

static void count_subject(struct results *r, const char *reason) {
  char subject[128];
  subject_of(reason, subject, sizeof subject);
  json_int_t n = json_integer_value(json_object_get(r->subjects, subject));
  json_object_set_new(r->subjects, subject, json_integer(n + 1));
}

static void add_result(struct results *r, const char *dir, const struct onnx_case *c) {
  const char *slash = strrchr(dir, '/');
  r->count[c->status]++;
  if (c->status == CASE_UNSUPPORTED) count_subject(r, c->reason);
  json_array_append_new(r->cases, json_pack("{s:s, s:s, s:s}", "name", slash ? slash + 1 : dir, "status",
                                            case_status_name(c->status), "reason", c->reason));
}

static void print_cases(const struct results *r, bool verbose) {
  size_t i;
  json_t *row;
  json_array_foreach(r->cases, i, row) {
    const char *status = json_string_value(json_object_get(row, "status"));
    const char *reason = json_string_value(json_object_get(row, "reason"));
    bool failed = strcmp(status, case_status_name(CASE_FAILED)) == 0;
    if (failed || (verbose && *reason))
      printf("%s: %s: %s\n", status, json_string_value(json_object_get(row, "name")), reason);
  }
}

static void print_unsupported(const struct results *r) {
  static const char *const heading[] = {"not supported", "cases"};
  struct cli_table *table = cli_table_new(CLI_COUNT_OF(heading), heading);
  const char *subject;
  json_t *n;
  json_object_foreach(r->subjects, subject, n) {
    cli_table_cell(table, "%s", subject);
    cli_table_cell(table, "%lld", (long long)json_integer_value(n));
  }
  cli_table_print(table, stdout);
}

static int print_results(const struct results *r, const struct check_options *o) {
  int total = r->count[CASE_PASSED] + r->count[CASE_FAILED] + r->count[CASE_UNSUPPORTED];
  if (o->json)
    return cli_print_json(json_pack("{s:i, s:i, s:i, s:i, s:O}", "passed", r->count[CASE_PASSED], "failed",
                                    r->count[CASE_FAILED], "unsupported", r->count[CASE_UNSUPPORTED], "total", total,
                                    "cases", r->cases));
  print_cases(r, o->verbose);
  if (r->count[CASE_UNSUPPORTED] > 0) print_unsupported(r);
  printf("%d passed, %d failed, %d not supported, %d in all\n", r->count[CASE_PASSED], r->count[CASE_FAILED],
         r->count[CASE_UNSUPPORTED], total);
  return CLI_DONE;
}

/* ------------------------------------------------------------------------------------------------- run */

static int run_cases(const struct case_list *list, const struct check_options *o, const struct case_machine *machine) {
  struct results r = {.cases = json_array(), .subjects = json_object()};
  for (int i = 0; i < list->n && !cli_interrupted(); i++) {
    struct onnx_case c;
    cli_progress("cases", i, list->n);
    onnx_case_run(list->dir[i], machine, &c);
    add_result(&r, list->dir[i], &c);
  }
  cli_progress("cases", list->n, list->n);
  int exit = print_results(&r, o);
  json_decref(r.cases);
  json_decref(r.subjects);
  return exit == CLI_DONE && r.count[CASE_FAILED] > 0 ? CLI_FAILED : exit;
}

/* A folder of our own for the file, so that its data beside it is ours, too. */
static int with_folder(const struct case_list *list, const struct check_options *o, struct case_machine *machine) {
  const char *tmp = getenv("TMPDIR");
  char dir[4000], file[4096];
  if (!o->round_trip) return run_cases(list, o, machine);
  snprintf(dir, sizeof dir, "%s/braid-check-XXXXXX", tmp && *tmp ? tmp : "/tmp");
  if (!mkdtemp(dir)) {
    fprintf(stderr, "braid: %s: %s\n", dir, strerror(errno));
    return CLI_FAILED;
  }
  snprintf(file, sizeof file, "%s/model.onnx", dir);
  machine->round_trip = file;
  int exit = run_cases(list, o, machine);
  unlink(file);
  rmdir(dir);
  return exit;
}

static int run_on_machine(const struct case_list *list, const struct check_options *o) {
  struct cli_machine machine;
  int exit = cli_machine_open(&o->exec, &machine);
  if (exit != CLI_DONE) return exit;
  struct braid_pool_opts opts = {.workers = machine.workers, .pin = machine.pin, .name = "check"};
  struct case_machine cases = {.cpu_flags = machine.cpu_flags};
  if (braid_pool_create(&opts, &cases.pool) == BRAID_OK)
    exit = with_folder(list, o, &cases);
  else
    exit = cli_fail(CLI_FAILED);
  braid_pool_destroy(&cases.pool);
  cli_machine_close(&machine);
  return exit;
}

static int run(const void *values, char **args, int n_args) {
  struct case_list list = {0};
  int exit = CLI_DONE;
  for (int i = 0; i < n_args && exit == CLI_DONE; i++) exit = find_cases(args[i], 0, &list);
  if (exit == CLI_DONE && list.n == 0) {
    fprintf(stderr, "braid: %s: no folder with a model.onnx there\n", args[0]);
    exit = CLI_BAD_INPUT;
  }
  if (exit == CLI_DONE) exit = run_on_machine(&list, values);
  list_free(&list);
  return exit;
}

const struct cli_command cmd_check_onnx = {
    "check-onnx",
    "DIR...",
    "runs ONNX's backend test cases",
    "A case is a folder with model.onnx and test_data_set_*/input_*.pb and output_*.pb; every folder below DIR that is "
    "one is run. Debian's libonnx-testdata installs the suite in /usr/share/libonnx-testdata/data. Floats may differ "
    "by "
    "1e-3 of their value plus 1e-7, as the suite has it, other types not at all.\n\n"
    "The suite feeds as inputs what real files hold as constants (shapes, axes, bounds). Where the importer needs to "
    "know "
    "them, inputs that are lists or single numbers become constants, or else all inputs; --verbose says which cases "
    "passed so. What a case needs and Braid has not is counted by operator. The exit status is 1 when a case failed, "
    "not "
    "when one is not supported.",
    1,
    -1,
    options,
    CLI_COUNT_OF(options),
    run};
