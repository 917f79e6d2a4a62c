/* SPDX-License-Identifier: Apache-2.0 */
#include "trace.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ------------------------------------------------------------------------------------------------ reading */

static int add_row(struct trace *t, const char *path, int line, const char *text) {
  char *end;
  double at_s = strtod(text, &end);
  double mbps = *end == ',' ? strtod(end + 1, &end) : -1;
  if (!(at_s >= 0 && at_s < 1e7 && mbps >= 0 && mbps < 1e6) || (*end != '\n' && *end != '\r' && *end != '\0'))
    return cli_usage("%s:%d: no row of seconds and Mbit/s: %.40s", path, line, text);
  int64_t at_ns = t->n == 0 ? 0 : llround(at_s * 1e9);
  if (t->n > 0 && at_ns <= t->step[t->n - 1].at_ns)
    return cli_usage("%s:%d: %.3f s is not after the row before", path, line, at_s);
  if (t->n == TRACE_ROWS_MAX) return cli_usage("%s: more than %d rows", path, TRACE_ROWS_MAX);
  if ((t->n & (t->n - 1)) == 0) {
    void *more = braid_realloc(t->step, 2 * (size_t)(t->n + 1) * sizeof *t->step);
    if (!more) return cli_usage("%s: no memory for %d rows", path, t->n);
    t->step = more;
  }
  t->step[t->n++] = (struct braid_rate_step){at_ns, fmax(mbps * 1e6, TRACE_HOLE)};
  return CLI_DONE;
}

static int read_rows(struct trace *t, const char *path, FILE *file) {
  char text[256];
  int exit = CLI_DONE;
  if (!fgets(text, sizeof text, file) || strncmp(text, "time_s,mbps", 11) != 0)
    return cli_usage("%s: does not begin with the line time_s,mbps", path);
  for (int line = 2; exit == CLI_DONE && fgets(text, sizeof text, file); line++) exit = add_row(t, path, line, text);
  if (exit == CLI_DONE && t->n < 2) return cli_usage("%s: a trace has at least two rows", path);
  return exit;
}

static int64_t step_end_ns(const struct trace *t, int i) {
  return i + 1 < t->n ? t->step[i + 1].at_ns : t->length_ns;
}

static int by_rate(const void *a, const void *b) {
  double x = ((const struct braid_rate_step *)a)->bits_per_s, y = ((const struct braid_rate_step *)b)->bits_per_s;
  return (x > y) - (x < y);
}

/* Rates that hold for the shares of the time. */
static int measure(struct trace *t) {
  struct braid_rate_step *sorted = braid_calloc((size_t)t->n, sizeof *sorted); /* at_ns: how long */
  if (!sorted) return cli_usage("%s: no memory", t->name);
  for (int i = 0; i < t->n; i++)
    sorted[i] = (struct braid_rate_step){step_end_ns(t, i) - t->step[i].at_ns, t->step[i].bits_per_s};
  qsort(sorted, (size_t)t->n, sizeof *sorted, by_rate);
  double seen_ns = 0;
  for (int i = 0; i < t->n; i++) {
    seen_ns += (double)sorted[i].at_ns;
    if (t->p10 == 0 && seen_ns >= 0.1 * (double)t->length_ns) t->p10 = sorted[i].bits_per_s;
    if (t->p50 == 0 && seen_ns >= 0.5 * (double)t->length_ns) t->p50 = sorted[i].bits_per_s;
  }
  braid_free(sorted);
  t->mean = trace_bits(t, 0, t->length_ns) / ((double)t->length_ns / 1e9);
  return CLI_DONE;
}

static int read_trace(const char *path, struct trace *t) {
  FILE *file = fopen(path, "r");
  if (!file) return cli_usage("%s: %s", path, strerror(errno));
  const char *slash = strrchr(path, '/');
  snprintf(t->name, sizeof t->name, "%s", slash ? slash + 1 : path);
  char *dot = strrchr(t->name, '.');
  if (dot) *dot = '\0';
  int exit = read_rows(t, path, file);
  fclose(file);
  if (exit != CLI_DONE) return exit;
  t->length_ns = 2 * t->step[t->n - 1].at_ns - t->step[t->n - 2].at_ns;
  return measure(t);
}

static int add_file(struct trace_list *list, const char *path) {
  void *more = braid_realloc(list->trace, (size_t)(list->n + 1) * sizeof *list->trace);
  if (!more) return cli_usage("%s: no memory for another trace", path);
  list->trace = more;
  list->trace[list->n] = (struct trace){.n = 0};
  return read_trace(path, &list->trace[list->n++]);
}

static int is_csv(const struct dirent *entry) {
  size_t n = strlen(entry->d_name);
  return n > 4 && strcmp(entry->d_name + n - 4, ".csv") == 0;
}

static int add_folder(struct trace_list *list, const char *folder) {
  struct dirent **entry = NULL;
  int exit = CLI_DONE, n = scandir(folder, &entry, is_csv, alphasort);
  if (n < 0) return cli_usage("--traces %s: %s", folder, strerror(errno));
  if (n == 0) exit = cli_usage("--traces %s: there is no .csv in it", folder);
  for (int i = 0; i < n; i++) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, entry[i]->d_name);
    if (exit == CLI_DONE) exit = add_file(list, path);
    free(entry[i]);
  }
  free(entry);
  return exit;
}

int trace_list_open(const struct cli_list *paths, struct trace_list *out) {
  int exit = CLI_DONE;
  *out = (struct trace_list){0};
  for (int i = 0; i < paths->n && exit == CLI_DONE; i++) {
    struct stat info;
    bool folder = stat(paths->item[i], &info) == 0 && S_ISDIR(info.st_mode);
    exit = folder ? add_folder(out, paths->item[i]) : add_file(out, paths->item[i]);
  }
  if (exit != CLI_DONE) trace_list_close(out);
  return exit;
}

void trace_list_close(struct trace_list *list) {
  for (int i = 0; i < list->n; i++) braid_free(list->trace[i].step);
  braid_free(list->trace);
  *list = (struct trace_list){0};
}

/* ------------------------------------------------------------------------------------------------- asking */

int trace_find(const struct trace *t, int64_t at_ns) {
  int low = 0, high = t->n;
  at_ns %= t->length_ns;
  while (high - low > 1) {
    int middle = low + (high - low) / 2;
    if (t->step[middle].at_ns <= at_ns)
      low = middle;
    else
      high = middle;
  }
  return low;
}

/* Of the step that holds at `at_ns`: when it ends. */
static int64_t held_until_ns(const struct trace *t, int64_t at_ns, int *step) {
  *step = trace_find(t, at_ns);
  return at_ns - at_ns % t->length_ns + step_end_ns(t, *step);
}

double trace_bits(const struct trace *t, int64_t from_ns, int64_t to_ns) {
  double bits = 0;
  while (from_ns < to_ns) {
    int step;
    int64_t end_ns = held_until_ns(t, from_ns, &step);
    if (end_ns > to_ns) end_ns = to_ns;
    bits += t->step[step].bits_per_s * (double)(end_ns - from_ns) / 1e9;
    from_ns = end_ns;
  }
  return bits;
}

int64_t trace_end_ns(const struct trace *t, int64_t from_ns, double bits) {
  for (;;) {
    int step;
    int64_t end_ns = held_until_ns(t, from_ns, &step);
    double rate = t->step[step].bits_per_s, fit = rate * (double)(end_ns - from_ns) / 1e9;
    if (fit >= bits) return from_ns + (int64_t)ceil(1e9 * bits / rate);
    bits -= fit;
    from_ns = end_ns;
  }
}
