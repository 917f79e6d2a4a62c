/* SPDX-License-Identifier: Apache-2.0
 * Rates over time: a constant, or a measured trace that repeats. */
#include "shaper.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE_BYTES = 16 << 20 };

enum braid_status rate_plan_constant(double bits_per_s, struct rate_plan *out) {
  struct rate_step *step = braid_malloc(sizeof *step);
  if (!step) return braid_fail(BRAID_ENOMEM, "no memory for a rate");
  *step = (struct rate_step){0, bits_per_s};
  *out = (struct rate_plan){.n_steps = 1, .steps = step};
  return BRAID_OK;
}

void rate_plan_free(struct rate_plan *plan) {
  braid_free(plan->steps);
  *plan = (struct rate_plan){0};
}

/* ---------------------------------------------------------------------------------------------- over time */

static int64_t step_end_ns(const struct rate_plan *plan, int i) {
  return i + 1 < plan->n_steps ? plan->steps[i + 1].at_ns : plan->period_ns;
}

static double period_bits(const struct rate_plan *plan) {
  double bits = 0;
  for (int i = 0; i < plan->n_steps; i++)
    bits += plan->steps[i].bits_per_s * 1e-9 * (double)(step_end_ns(plan, i) - plan->steps[i].at_ns);
  return bits;
}

double rate_plan_mean_bits_per_s(const struct rate_plan *plan) {
  return plan->period_ns ? period_bits(plan) / ((double)plan->period_ns * 1e-9) : plan->steps[0].bits_per_s;
}

static int step_at(const struct rate_plan *plan, double in_period_ns) {
  int low = 0, high = plan->n_steps - 1; /* steps[low].at <= t, the answer is in [low, high] */
  while (low < high) {
    int middle = (low + high + 1) / 2;
    if ((double)plan->steps[middle].at_ns <= in_period_ns)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

double rate_plan_finish_ns(const struct rate_plan *plan, double start_ns, double bits) {
  if (plan->period_ns == 0) return start_ns + bits * 1e9 / plan->steps[0].bits_per_s;
  double period = (double)plan->period_ns, base = floor(start_ns / period) * period, t = start_ns - base;
  double whole = floor(bits / period_bits(plan)); /* whole periods need no walk */
  base += whole * period;
  bits -= whole * period_bits(plan);
  for (int i = step_at(plan, t); bits > 0;) {
    double end = (double)step_end_ns(plan, i), passes = plan->steps[i].bits_per_s * 1e-9 * (end - t);
    if (passes >= bits) return base + t + bits * 1e9 / plan->steps[i].bits_per_s;
    bits -= passes;
    t = end;
    if (++i == plan->n_steps) i = 0, t = 0, base += period;
  }
  return base + t;
}

/* ----------------------------------------------------------------------------------------------- reading */

static bool read_double(const char **text, char end, double *out) {
  char *stop;
  if (**text != '-' && (**text < '0' || **text > '9')) return false;
  *out = strtod(*text, &stop);
  while (*stop == '\r' || *stop == ' ') stop++;
  if (*stop != end && !(end == '\n' && *stop == '\0')) return false;
  *text = *stop ? stop + 1 : stop;
  return isfinite(*out);
}

static enum braid_status read_row(const char **text, const char *name, int line, int64_t after_ns,
                                  struct rate_step *out) {
  double time_s, mbps;
  if (!read_double(text, ',', &time_s) || !read_double(text, '\n', &mbps))
    return braid_fail(BRAID_EFORMAT, "%s:%d: not a row of two numbers, time_s,mbps", name, line);
  if (time_s < 0 || time_s > 1e8)
    return braid_fail(BRAID_EFORMAT, "%s:%d: time %g s is out of range", name, line, time_s);
  if (mbps < 0 || mbps > 1e9)
    return braid_fail(BRAID_EFORMAT, "%s:%d: rate %g Mbit/s is out of range", name, line, mbps);
  *out = (struct rate_step){(int64_t)llround(time_s * 1e9), mbps * 1e6};
  if (out->at_ns <= after_ns) return braid_fail(BRAID_EFORMAT, "%s:%d: time does not grow", name, line);
  return BRAID_OK;
}

static size_t count_lines(const char *text) {
  size_t lines = 1;
  for (; *text; text++) lines += *text == '\n';
  return lines;
}

static const char *skip_header(const char *text, int *line) {
  static const char header[] = "time_s,mbps";
  if (strncmp(text, header, strlen(header)) != 0) return text;
  const char *end = strchr(text, '\n');
  ++*line;
  return end ? end + 1 : text + strlen(text);
}

static enum braid_status read_rows(const char *text, const char *name, struct rate_plan *plan) {
  int line = 1;
  for (text = skip_header(text, &line); *text; line++) {
    int64_t after_ns = plan->n_steps ? plan->steps[plan->n_steps - 1].at_ns : -1;
    BRAID_TRY(read_row(&text, name, line, after_ns, &plan->steps[plan->n_steps]));
    plan->n_steps++;
  }
  return BRAID_OK;
}

/* Shifts the first row to time 0 and closes the loop. */
static enum braid_status close_loop(const char *name, struct rate_plan *plan) {
  int n = plan->n_steps;
  if (n == 0) return braid_fail(BRAID_EFORMAT, "%s: no rows", name);
  for (int i = n - 1; i >= 0; i--) plan->steps[i].at_ns -= plan->steps[0].at_ns;
  int64_t last_ns = n > 1 ? plan->steps[n - 1].at_ns - plan->steps[n - 2].at_ns : 1000000000;
  plan->period_ns = plan->steps[n - 1].at_ns + last_ns;
  return period_bits(plan) > 0 ? BRAID_OK : braid_fail(BRAID_EFORMAT, "%s: the rate is always 0", name);
}

enum braid_status rate_plan_parse(const char *text, const char *name, struct rate_plan *out) {
  struct rate_plan plan = {.steps = braid_calloc(count_lines(text), sizeof *plan.steps)};
  if (!plan.steps) return braid_fail(BRAID_ENOMEM, "%s: no memory", name);
  enum braid_status status = read_rows(text, name, &plan);
  if (status == BRAID_OK) status = close_loop(name, &plan);
  if (status == BRAID_OK)
    *out = plan;
  else
    rate_plan_free(&plan);
  return status;
}

enum braid_status rate_plan_read(const char *path, struct rate_plan *out) {
  FILE *file = fopen(path, "r");
  if (!file) return braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
  char *text = braid_malloc(MAX_FILE_BYTES);
  size_t size = text ? fread(text, 1, MAX_FILE_BYTES, file) : 0;
  bool failed = ferror(file);
  fclose(file);
  enum braid_status status;
  if (!text)
    status = braid_fail(BRAID_ENOMEM, "%s: no memory", path);
  else if (failed || size == MAX_FILE_BYTES)
    status = braid_fail(BRAID_EIO, "%s: %s", path, failed ? "cannot be read" : "is over 16 MiB");
  else {
    text[size] = '\0';
    status = rate_plan_parse(text, path, out);
  }
  braid_free(text);
  return status;
}
