/* SPDX-License-Identifier: Apache-2.0
 * One measurement: starts `braid edge`, hears its summary, looks at its answers. */
#include "stage.h"

#include "io.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1 << 16 };
static const int64_t patience_ns = (int64_t)120 * 1000000000;

/* ---------------------------------------------------------------------------------------------- answers */

static double largest(const float *v, size_t n) {
  double m = 0;
  for (size_t i = 0; i < n; i++) {
    double size = fabs((double)v[i]);
    if (size > m) m = size; /* with fmax, GCC 12 for aarch64 dies of an internal error */
  }
  return m;
}

static double relative_difference(const struct braid_tensor *want, const struct braid_tensor *got) {
  if (want->dtype != BRAID_F32 || got->dtype != BRAID_F32 || !braid_shape_equal(&want->shape, &got->shape))
    return HUGE_VAL;
  size_t n = (size_t)braid_shape_elements(&want->shape);
  const float *a = want->data, *b = got->data;
  double scale = largest(a, n), difference = 0;
  for (size_t i = 0; i < n; i++) {
    double d = fabs((double)a[i] - (double)b[i]);
    if (!(d <= difference)) difference = d; /* a not-a-number stays */
  }
  return scale > 0 ? difference / scale : difference;
}

static double file_difference(const char *want, const char *got) {
  struct braid_tensor a = {0}, b = {0};
  double difference = HUGE_VAL;
  if (io_npy_read(want, &a) == BRAID_OK && io_npy_read(got, &b) == BRAID_OK) difference = relative_difference(&a, &b);
  braid_free(a.data);
  braid_free(b.data);
  return difference;
}

static double difference_of(const struct stage *s, const char *answers, int first, int frames) {
  int n;
  const int *id = braid_graph_outputs(s->graph, &n);
  double difference = 0;
  for (int f = first; f < first + frames; f++)
    for (int i = 0; i < n; i++) {
      char want[256], got[512];
      const char *name = braid_graph_node(s->graph, id[i])->name;
      snprintf(want, sizeof want, "%s/expected_%.64s.npy", s->dir, name);
      snprintf(got, sizeof got, "%s/%06d_%.64s.npy", answers, f, name);
      difference = fmax(difference, file_difference(want, got));
      unlink(got);
    }
  return difference;
}

/* ------------------------------------------------------------------------------------------------- edge */

struct arguments {
  const char *argv[48];
  int n;
  char text[16][128];
  int n_text;
};

static void push(struct arguments *a, const char *option, const char *value) {
  a->argv[a->n++] = option;
  if (value) a->argv[a->n++] = value;
}

static char *buffer(struct arguments *a) {
  return a->text[a->n_text++];
}

static void push_number(struct arguments *a, const char *option, double value, const char *unit) {
  char *text = buffer(a);
  snprintf(text, sizeof a->text[0], "%.15g%s", value, unit);
  push(a, option, text);
}

static void push_path(struct arguments *a, const char *option, const struct stage *s, const char *file) {
  char *text = buffer(a);
  snprintf(text, sizeof a->text[0], "%s/%s", s->dir, file);
  push(a, option, text);
}

static void edge_arguments(const struct stage *s, const struct stage_job *job, struct arguments *a) {
  bool latency = job->objective == BRAID_LATENCY;
  push(a, s->program, "edge");
  push(a, s->model, NULL);
  push(a, "--connect", s->url);
  if (job->plan)
    push(a, "--plan", job->plan);
  else
    push(a, "--policy", job->policy);
  push(a, "--objective", latency ? "latency" : "throughput");
  push(a, "--slices", s->slices);
  push_number(a, "--frames", job->frames, "");
  push_number(a, "--warmup", STAGE_WARMUP, "");
  if (job->window > 0)
    push_number(a, "--window", job->window, "");
  else if (latency)
    push(a, "--window", "1");
  if (job->fps > 0) push_number(a, "--fps", job->fps, "");
  if (job->private_input) push(a, "--private", NULL);
  if (job->given_link) {
    push_number(a, "--up", s->up / 1e6, "mbit");
    push_number(a, "--down", s->down / 1e6, "mbit");
    push_number(a, "--rtt", (double)s->rtt / 1e6, "ms");
  }
  push_number(a, "--slow", s->ratio, "");
  push(a, "--fallback", job->adapt ? "auto" : "off"); /* a measurement without its cloud is none */
  push(a, "--adapt", job->adapt ? "auto" : "off");
  push_number(a, "--heartbeat", (double)s->heartbeat / 1e6, "ms");
  push(a, "--threads", "1");
  push(a, "--kernels", s->kernels);
  push_path(a, "--profile", s, "edge.json");
  push_path(a, "--output", s, "answers");
  push_path(a, "--trace", s, "edge.trace.json");
  push(a, "--json", NULL);
}

static void note_latency(const json_t *frame, struct stage_run *run) {
  const json_t *latency = json_object_get(frame, "latency_ms");
  if (!json_is_number(latency) || run->n_latencies == STAGE_LATENCIES_MAX) return;
  run->due_ms[run->n_latencies] = json_number_value(json_object_get(frame, "due_ms"));
  run->latency_ms[run->n_latencies++] = json_number_value(latency);
}

/* Reads to the end; gathers the frames' latencies, keeps the summary. */
static enum braid_status hear(struct child *edge, char *line, size_t size, struct stage_run *run, json_t **summary) {
  enum braid_status status;
  while ((status = child_line(edge, patience_ns, line, size)) == BRAID_OK) {
    json_t *object = json_loads(line, 0, NULL), *found = json_object_get(object, "summary");
    if (found) {
      json_decref(*summary);
      *summary = json_incref(found);
    } else {
      note_latency(object, run);
    }
    json_decref(object);
  }
  return status == BRAID_ECLOSED && !cli_interrupted() ? BRAID_OK : status;
}

static enum braid_status run_edge(const char *const *argv, const struct stage *s, struct stage_run *run,
                                  json_t **summary) {
  char log[128];
  snprintf(log, sizeof log, "%s/edge.log", s->dir);
  struct child edge;
  char *line = braid_malloc(LINE_MAX_BYTES);
  if (!line) return braid_fail(BRAID_ENOMEM, "no memory for a line");
  enum braid_status status = child_start("braid edge", argv, s->edge_cpu, log, &edge);
  if (status == BRAID_OK) {
    status = hear(&edge, line, LINE_MAX_BYTES, run, summary);
    if (status != BRAID_OK)
      child_stop(&edge);
    else if (child_wait(&edge) != 0)
      status = braid_fail(BRAID_EIO, "braid edge failed; see %s", log);
  }
  braid_free(line);
  if (status == BRAID_OK && !*summary) status = braid_fail(BRAID_EPROTO, "braid edge printed no summary; see %s", log);
  return status;
}

static double number(const json_t *object, const char *key) {
  return json_number_value(json_object_get(object, key));
}

enum braid_status stage_edge(struct stage *s, const struct stage_job *job, struct stage_run *run) {
  struct arguments a = {.n = 0};
  json_t *summary = NULL;
  char answers[128];
  edge_arguments(s, job, &a);
  enum braid_status status = run_edge(a.argv, s, run, &summary);
  if (status == BRAID_OK) {
    double answered = number(summary, "answered");
    snprintf(answers, sizeof answers, "%s/answers", s->dir);
    double difference = difference_of(s, answers, STAGE_WARMUP, job->frames);
    if (difference > run->difference) run->difference = difference;
    run->differs |= difference > 1e-4 || answered < job->frames;
    snprintf(run->plan, sizeof run->plan, "%s", json_string_value(json_object_get(summary, "policy")));
    run->predicted_latency_ms = number(summary, "predicted_latency_ms");
    run->fps = number(summary, "fps");
    run->predicted_fps = number(summary, "predicted_fps");
    run->bound_fps = number(summary, "bound_fps");
    run->replans += (int)number(summary, "replans");
    run->bridged += (int)number(summary, "bridged");
    run->bytes_up = answered > 0 ? number(summary, "bytes_up") / answered : 0;
  }
  json_decref(summary);
  return status;
}

double stage_median_ms(const struct stage_run *run) {
  return cli_stats_of(run->latency_ms, run->n_latencies).p50;
}
