/* SPDX-License-Identifier: Apache-2.0
 * braid bench pipeline --epochs: what a change of plan costs the frames that are under way. A real cloud and link
 * (stage.h), the edge in this process, each on a CPU of its own, a stream of frames in throughput mode: by turns as it
 * is and while the plan is changed, one change right after the other, a thousand times in all.
 *
 * The plans compute the same in the same places: they differ in the window alone that they ask for, which the edge's
 * own option overrides, so that nothing else changes. There are more of them than the edge keeps warm, so each change
 * has all it can cost: the cloud agrees, both sides compile, the oldest is retired.
 *
 * A period is the median time from one answer to the next without changes. A frame is delayed by more than a period
 * when its answer comes more than two of them after the one before, or when it took longer than the median frame
 * without changes by more than one: the first sees a hole in the stream, the second also delays that add up over
 * several frames. What the machine itself does to frames is seen without changes, in between. */
#include "bench.h"
#include "plan_file.h"
#include "source.h"
#include "stage_plan.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum { PLANS = 8, ROUNDS = 10, FRAMES_MAX = 1 << 20, WARM_UP = 16 };

struct phase {
  double *gap_ms, *latency_ms; /* [n] from the answer before; from being submitted */
  int n;
};
/* What a frame usually takes, and what a change may cost it: the medians without changes. */
struct usual {
  double period_ms, latency_ms;
};

struct epochs {
  const struct bench_options *o;
  struct stage stage;
  struct braid_plan *plan[PLANS];
  struct braid_profile *profile;
  struct source *source;
  struct braid_edge *edge;
  const struct braid_tensor *in;
  int n_in, submitted, answered, wrong, window, round_changes, n_changes; /* changes: the changer's while it runs */
  struct braid_answer *first; /* that all others must equal */
  int64_t last_ns;
  struct phase still, changing;
  atomic_bool over; /* release by the changer, acquire by the stream */
  enum braid_status status; /* the changer's, before `over` */
  char why[256];
};

static enum braid_status phase_open(struct phase *phase) {
  phase->gap_ms = braid_calloc(FRAMES_MAX, sizeof *phase->gap_ms);
  phase->latency_ms = braid_calloc(FRAMES_MAX, sizeof *phase->latency_ms);
  return phase->gap_ms && phase->latency_ms ? BRAID_OK : braid_fail(BRAID_ENOMEM, "no memory for frames");
}

static void phase_close(struct phase *phase) {
  braid_free(phase->gap_ms);
  braid_free(phase->latency_ms);
}

/* --------------------------------------------------------------------------------------------------- frames */

static bool is_equal(const struct braid_answer *a, const struct braid_answer *b, const struct braid_graph *graph) {
  int n;
  const int *output = braid_graph_outputs(graph, &n);
  for (int i = 0; i < n; i++)
    if (memcmp(a->out[i].data, b->out[i].data, braid_graph_node(graph, output[i])->bytes) != 0) return false;
  return true;
}

static enum braid_status take(struct epochs *e, struct phase *phase) {
  struct braid_answer *answer = NULL;
  BRAID_TRY(braid_edge_wait(e->edge, INT64_C(60000000000), &answer));
  e->answered++;
  if (phase && phase->n < FRAMES_MAX) {
    phase->gap_ms[phase->n] = cli_ms(answer->answered_ns - e->last_ns);
    phase->latency_ms[phase->n++] = cli_ms(answer->answered_ns - answer->submitted_ns);
  }
  e->last_ns = answer->answered_ns;
  if (!e->first) {
    e->first = answer;
    return BRAID_OK;
  }
  e->wrong += !is_equal(e->first, answer, e->stage.graph);
  braid_answer_destroy(&answer);
  return BRAID_OK;
}

static enum braid_status step(struct epochs *e, struct phase *phase) {
  while (e->submitted - e->answered < e->window)
    BRAID_TRY(braid_edge_submit(e->edge, (uint64_t)e->submitted++, e->in, e->n_in));
  return take(e, phase);
}

static void *change_plans(void *arg) {
  struct epochs *e = arg;
  for (int i = 0; i < e->round_changes && e->status == BRAID_OK; i++)
    e->status = braid_edge_replan(e->edge, e->plan[++e->n_changes % PLANS]);
  if (e->status != BRAID_OK) snprintf(e->why, sizeof e->why, "%s", braid_error());
  atomic_store_explicit(&e->over, true, memory_order_release);
  return NULL;
}

/* Frames in flight when the last change is made are still those of changes. */
static enum braid_status run_changes(struct epochs *e, int changes) {
  pthread_t changer;
  e->round_changes = changes;
  atomic_store_explicit(&e->over, false, memory_order_relaxed);
  if (pthread_create(&changer, NULL, change_plans, e) != 0)
    return braid_fail(BRAID_ENOMEM, "no thread to change plans");
  enum braid_status status = BRAID_OK;
  while (status == BRAID_OK && !cli_interrupted() && !atomic_load_explicit(&e->over, memory_order_acquire))
    status = step(e, &e->changing);
  if (status != BRAID_OK || cli_interrupted()) braid_edge_stop(&e->edge); /* which ends the changer, too */
  pthread_join(changer, NULL);
  BRAID_TRY(status);
  if (e->status != BRAID_OK) return braid_fail(e->status, "%s", e->why);
  for (int i = 0; e->edge && i < e->window; i++) BRAID_TRY(step(e, &e->changing));
  return BRAID_OK;
}

static enum braid_status run_rounds(struct epochs *e) {
  int frames = 8 * e->o->frames, changes = e->o->changes;
  for (int i = 0; i < WARM_UP; i++) BRAID_TRY(step(e, NULL));
  for (int r = 0; r < ROUNDS && e->edge; r++) {
    int still = frames * (r + 1) / ROUNDS - frames * r / ROUNDS;
    for (int i = 0; i < still && !cli_interrupted(); i++) BRAID_TRY(step(e, &e->still));
    BRAID_TRY(run_changes(e, changes * (r + 1) / ROUNDS - changes * r / ROUNDS));
  }
  while (e->edge && e->answered < e->submitted) BRAID_TRY(take(e, NULL));
  return BRAID_OK;
}

/* ----------------------------------------------------------------------------------------------------- scene */

static enum braid_status make_plans(struct epochs *e) {
  BRAID_TRY(stage_decide(&e->stage, "qdmp", BRAID_THROUGHPUT, e->stage.up, &e->plan[0]));
  for (int i = 1; i < PLANS; i++) {
    BRAID_TRY(braid_plan_copy(e->plan[0], &e->plan[i]));
    e->plan[i]->window += i;
  }
  return BRAID_OK;
}

/* This process is the edge, and has one CPU like its cloud. */
static void stay_on(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) braid_log(BRAID_LOG_WARN, "the edge cannot be kept on CPU %d", cpu);
}

static enum braid_status start(struct epochs *e) {
  char path[192];
  struct stage *s = &e->stage;
  BRAID_TRY(stage_open(s));
  BRAID_TRY(stage_expect(s));
  BRAID_TRY(stage_measure_edge(s));
  BRAID_TRY(stage_start_cloud(s));
  BRAID_TRY(stage_start_link(s));
  BRAID_TRY(make_plans(e));
  BRAID_TRY(profile_file_read(stage_path(s, "edge.json", path), s->graph, &e->profile));
  if (source_open(s->graph, &(struct cli_list){0}, NULL, NULL, &e->source) != CLI_DONE ||
      source_load(e->source, 0, &e->in, &e->n_in) != CLI_DONE)
    return braid_fail(BRAID_EIO, "no inputs for %s", s->model);
  e->window = e->plan[0]->window > 1 ? e->plan[0]->window : 2;
  if (s->edge_cpu >= 0) stay_on(s->edge_cpu);
  struct braid_edge_opts opts = {.connect = s->url,
                                 .model = s->model,
                                 .threads = 1,
                                 .cpu_flags = braid_cpu_flags(),
                                 .slow = s->ratio,
                                 .fallback = BRAID_FALLBACK_OFF,
                                 .plan = e->plan[0],
                                 .goal = {.objective = BRAID_THROUGHPUT},
                                 .profile = e->profile,
                                 .up = {s->up, s->rtt / 2, 20000},
                                 .down = {s->down, s->rtt / 2, 20000},
                                 .window = e->window};
  return braid_edge_start(s->graph, &opts, &e->edge);
}

static void end(struct epochs *e, bool keep) {
  braid_edge_stop(&e->edge);
  braid_answer_destroy(&e->first);
  for (int i = 0; i < PLANS; i++) braid_plan_destroy(&e->plan[i]);
  braid_profile_destroy(&e->profile);
  source_close(&e->source);
  stage_close(&e->stage, keep);
  phase_close(&e->still);
  phase_close(&e->changing);
}

/* ---------------------------------------------------------------------------------------------------- report */

static double total_ms(const struct phase *phase) {
  double ms = 0;
  for (int i = 0; i < phase->n; i++) ms += phase->gap_ms[i];
  return ms;
}

/* By how many periods. */
static double gap_delay(const struct phase *phase, int i, const struct usual *usual) {
  return phase->gap_ms[i] / usual->period_ms - 1;
}
static double latency_delay(const struct phase *phase, int i, const struct usual *usual) {
  return (phase->latency_ms[i] - usual->latency_ms) / usual->period_ms;
}

static int late(const struct phase *phase, const struct usual *usual) {
  int n = 0;
  for (int i = 0; i < phase->n; i++)
    n += gap_delay(phase, i, usual) > 1 || latency_delay(phase, i, usual) > 1;
  return n;
}

static double longest_delay(const struct phase *phase, const struct usual *usual) {
  double most = 0;
  for (int i = 0; i < phase->n; i++) {
    double gap = gap_delay(phase, i, usual), latency = latency_delay(phase, i, usual);
    if (gap > most) most = gap;
    if (latency > most) most = latency;
  }
  return most;
}

static json_t *row_of(const char *name, const struct phase *phase, const struct usual *usual) {
  struct cli_stats gap = cli_stats_of(phase->gap_ms, phase->n), latency = cli_stats_of(phase->latency_ms, phase->n);
  return json_pack("{s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:i}", "name", name, "frames", phase->n, "p50_ms",
                   gap.p50, "p99_ms", gap.p99, "max_ms", gap.max, "latency_p50_ms", latency.p50, "latency_p99_ms",
                   latency.p99, "latency_max_ms", latency.max, "max_delay_periods", longest_delay(phase, usual), "late",
                   late(phase, usual));
}

static void print_row(struct cli_table *table, const json_t *row) {
  static const char *const figure[] = {"p50_ms",         "p99_ms",         "max_ms",           "latency_p50_ms",
                                       "latency_p99_ms", "latency_max_ms", "max_delay_periods"};
  cli_table_cell(table, "%s", json_string_value(json_object_get(row, "name")));
  cli_table_cell(table, "%lld", (long long)json_integer_value(json_object_get(row, "frames")));
  for (int k = 0; k < CLI_COUNT_OF(figure); k++)
    cli_table_cell(table, "%.2f", json_number_value(json_object_get(row, figure[k])));
  cli_table_cell(table, "%lld", (long long)json_integer_value(json_object_get(row, "late")));
}

static int report(const struct epochs *e) {
  static const char *const heading[] = {"",       "frames",         "gap p50/ms", "p99/ms",     "largest/ms",
                                        "latency p50/ms", "p99/ms", "largest/ms", "delay/periods", "late"};
  const struct usual usual = {cli_stats_of(e->still.gap_ms, e->still.n).p50,
                              cli_stats_of(e->still.latency_ms, e->still.n).p50};
  json_t *row, *rows = json_pack("[o, o]", row_of("as it is", &e->still, &usual),
                                 row_of("changing", &e->changing, &usual));
  if (e->o->json)
    return cli_print_json(json_pack("{s:s, s:i, s:f, s:f, s:o, s:i, s:s}", "model", e->stage.model, "changes",
                                    e->n_changes, "period_ms", usual.period_ms, "seconds_changing",
                                    total_ms(&e->changing) / 1e3, "rows", rows, "wrong", e->wrong, "version",
                                    BRAID_VERSION));
  struct cli_table *table = cli_table_new(CLI_COUNT_OF(heading), heading);
  size_t i;
  json_array_foreach(rows, i, row) print_row(table, row);
  printf("%s: %d changes of plan in %.1f s, %d frames in flight, period %.2f ms, %d answers wrong\n", e->stage.model,
         e->n_changes, total_ms(&e->changing) / 1e3, e->window, usual.period_ms, e->wrong);
  cli_table_print(table, stdout);
  puts("\nlate: answers more than a period late, after the one before or after being submitted");
  json_decref(rows);
  return CLI_DONE;
}

int bench_epochs(const struct bench_options *o, char **models, int n_models) {
  struct epochs e = {.o = o};
  if (n_models > 1) return cli_usage("bench pipeline --epochs takes one network");
  e.stage = (struct stage){.model = n_models ? models[0] : "squeezenet1_1",
                           .kernels = "fast",
                           .slices = "auto",
                           .up = 20e6,
                           .down = 20e6,
                           .ratio = 8,
                           .rtt = 10000000};
  enum braid_status status = phase_open(&e.still);
  if (status == BRAID_OK) status = phase_open(&e.changing);
  if (status == BRAID_OK) status = start(&e);
  if (status == BRAID_OK) status = run_rounds(&e);
  int exit = cli_interrupted() ? CLI_INTERRUPTED : status == BRAID_OK ? report(&e) : cli_fail(CLI_FAILED);
  if (exit == CLI_DONE && e.wrong) exit = CLI_FAILED;
  end(&e, exit == CLI_FAILED);
  return exit;
}
