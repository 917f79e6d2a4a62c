/* SPDX-License-Identifier: Apache-2.0 */
#include "grid_file.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const objective_name[] = {[BRAID_LATENCY] = "latency", [BRAID_THROUGHPUT] = "throughput"};

/* ------------------------------------------------------------------------------------------------ a line */

/* [[value_ns, decide_ns] for every question]; 0 for a value: no plan. */
static json_t *asks_json(const struct grid_ask ask[GRID_ASKS], int asks) {
  json_t *list = json_array();
  for (int k = 0; k < asks; k++)
    json_array_append_new(list, json_pack("[I, I]", (json_int_t)ask[k].value_ns, (json_int_t)ask[k].decide_ns));
  return list;
}

static json_t *result_json(const struct grid_result *r, const struct grid_names *names) {
  const struct braid_policy *policy[GRID_POLICIES_MAX];
  const struct grid_cell *c = &r->cell;
  json_t *plans = json_object(), *bounds = json_array();
  int n = grid_policies(policy);
  for (int i = 0; i < n; i++) json_object_set_new(plans, policy[i]->name, asks_json(r->ask[i], r->asks));
  for (int k = 0; k < r->asks; k++) json_array_append_new(bounds, json_integer(r->bound_ns[k]));
  return json_pack("{s:s, s:f, s:f, s:f, s:f, s:b, s:s, s:o, s:o, s:s}", "model", names->name[c->net], "mbit", c->mbit,
                   "ratio", c->ratio, "load", c->load, "rtt_ms", c->rtt_ms, "private", c->private_input, "objective",
                   objective_name[c->objective], "bound_ns", bounds, "plans", plans, "wrong", r->wrong);
}

bool grid_line_write(const struct grid_result *r, const struct grid_names *names, char line[GRID_LINE_MAX]) {
  json_t *json = result_json(r, names);
  size_t n = json ? json_dumpb(json, line, GRID_LINE_MAX - 1, JSON_COMPACT) : 0;
  json_decref(json);
  if (n == 0 || n >= GRID_LINE_MAX - 1) return false;
  line[n] = '\0';
  return true;
}

static enum braid_status read_cell(json_t *json, const struct grid_names *names, struct grid_cell *c) {
  const char *model, *objective;
  int private_input;
  if (json_unpack(json, "{s:s, s:F, s:F, s:F, s:F, s:b, s:s}", "model", &model, "mbit", &c->mbit, "ratio", &c->ratio,
                  "load", &c->load, "rtt_ms", &c->rtt_ms, "private", &private_input, "objective", &objective) != 0)
    return braid_fail(BRAID_EFORMAT, "no cell of the grid (model, mbit, ratio, load, rtt_ms, private, objective)");
  c->private_input = private_input != 0;
  c->objective = strcmp(objective, objective_name[BRAID_THROUGHPUT]) == 0 ? BRAID_THROUGHPUT : BRAID_LATENCY;
  for (c->net = 0; c->net < names->n; c->net++)
    if (strcmp(names->name[c->net], model) == 0) return BRAID_OK;
  return braid_fail(BRAID_ENOTFOUND, "network '%s' is not among those given", model);
}

/* A policy that the file does not know has no plan there. */
static void read_asks(json_t *list, struct grid_ask ask[GRID_ASKS]) {
  for (int k = 0; k < GRID_ASKS; k++) {
    json_t *pair = json_array_get(list, (size_t)k);
    ask[k].value_ns = json_integer_value(json_array_get(pair, 0));
    ask[k].decide_ns = json_integer_value(json_array_get(pair, 1));
  }
}

static enum braid_status read_result(json_t *json, const struct grid_names *names, struct grid_result *r) {
  const struct braid_policy *policy[GRID_POLICIES_MAX];
  json_t *plans, *bounds;
  const char *wrong;
  BRAID_TRY(read_cell(json, names, &r->cell));
  if (json_unpack(json, "{s:o, s:o, s:s}", "bound_ns", &bounds, "plans", &plans, "wrong", &wrong) != 0)
    return braid_fail(BRAID_EFORMAT, "no result (bound_ns, plans, wrong)");
  r->n = grid_policies(policy);
  for (int i = 0; i < r->n; i++) read_asks(json_object_get(plans, policy[i]->name), r->ask[i]);
  r->asks = json_array_size(bounds) == GRID_ASKS ? GRID_ASKS : 1;
  for (int k = 0; k < r->asks; k++) r->bound_ns[k] = json_integer_value(json_array_get(bounds, (size_t)k));
  snprintf(r->wrong, sizeof r->wrong, "%s", wrong);
  return BRAID_OK;
}

enum braid_status grid_line_read(const char *line, const struct grid_names *names, struct grid_result *out) {
  json_error_t error;
  json_t *json = json_loads(line, 0, &error);
  if (!json) return braid_fail(BRAID_EFORMAT, "not JSON: %s", error.text);
  *out = (struct grid_result){0};
  enum braid_status status = read_result(json, names, out);
  json_decref(json);
  return status;
}

/* ------------------------------------------------------------------------------------------------ the file */

static enum braid_status io_error(const char *path) {
  return braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
}

enum braid_status grid_file_put(FILE *file, const char *path, const char *line) {
  return fprintf(file, "%s\n", line) < 0 || fflush(file) != 0 ? io_error(path) : BRAID_OK;
}

static enum braid_status take_line(const char *path, int number, const char *line, const char *header,
                                   const struct grid_sink *sink) {
  if (number > 1) {
    enum braid_status status = sink->take(sink->ctx, line);
    return status == BRAID_OK ? BRAID_OK : braid_fail_in(status, "%s:%d", path, number);
  }
  if (strcmp(line, header) == 0) return BRAID_OK;
  return braid_fail(BRAID_EINVAL, "%s was made under other settings: it begins with %.200s, not with %s", path, line,
                    header);
}

/* *end: where the last whole line ends. */
static enum braid_status read_lines(FILE *file, const char *path, const char *header, const struct grid_sink *sink,
                                    long *end) {
  char *line = NULL;
  size_t room = 0;
  enum braid_status status = BRAID_OK;
  for (int number = 1; status == BRAID_OK; number++) {
    ssize_t n = getline(&line, &room, file);
    if (n <= 0 || line[n - 1] != '\n') break;
    line[n - 1] = '\0';
    *end += (long)n;
    status = take_line(path, number, line, header, sink);
  }
  free(line);
  return status == BRAID_OK && ferror(file) ? io_error(path) : status;
}

static enum braid_status go_on(FILE *file, const char *path, const char *header, const struct grid_sink *sink) {
  long end = 0;
  BRAID_TRY(read_lines(file, path, header, sink, &end));
  if (ftruncate(fileno(file), end) != 0 || fseek(file, end, SEEK_SET) != 0) return io_error(path);
  return end == 0 ? grid_file_put(file, path, header) : BRAID_OK;
}

enum braid_status grid_file_open(const char *path, bool resume, const char *header, const struct grid_sink *sink,
                                 FILE **out) {
  FILE *file = fopen(path, "wx");
  bool is_new = file != NULL;
  if (!is_new && errno == EEXIST && resume) file = fopen(path, "r+");
  if (!file && errno == EEXIST)
    return braid_fail(BRAID_EIO, "%s is there already: go on with it by --resume, or remove it", path);
  if (!file) return io_error(path);
  enum braid_status status = is_new ? grid_file_put(file, path, header) : go_on(file, path, header, sink);
  if (status != BRAID_OK)
    fclose(file);
  else
    *out = file;
  return status;
}
