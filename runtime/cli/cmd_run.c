/* SPDX-License-Identifier: Apache-2.0
 * braid run: one machine, no network. */
#include "commands.h"
#include "describe.h"
#include "inflight.h"
#include "io.h"
#include "outputs.h"
#include "precision.h"

#include <stddef.h>
#include <string.h>

struct run_options {
  struct cli_exec exec;
  struct cli_list input;
  struct cli_precision precision;
  const char *output, *labels, *trace;
  int top, repeat, window, batch;
  bool json;
};
#define FIELD(member) offsetof(struct run_options, member)
static const struct cli_option options[] = {
    {"input", 'i', CLI_LIST, FIELD(input), "[NAME=]FILE", NULL,
     ".npy, .jpg, .png, a directory of pictures, or - (standard input); pseudo-random numbers if not given"},
    {"preprocess", 0, CLI_TEXT, FIELD(precision.preprocess), "HOW", NULL,
     "imagenet, caffe, cifar10, ultraface, fastestdet, bgr255, bgr, raw, crop, grey, or "
     "mean=a,b,c:std=a,b,c:bgr:resize|crop; "
     "guessed from the input if not given"},
    {"output", 'o', CLI_TEXT, FIELD(output), "FILE.npy", NULL,
     "write the outputs; {i} or {name} in it where there are several"},
    {"top", 0, CLI_INT, FIELD(top), "N", "5", "best classes to print"},
    {"labels", 0, CLI_TEXT, FIELD(labels), "FILE", NULL, "names of the classes, one a line"},
    {"repeat", 0, CLI_COUNT, FIELD(repeat), "N", "1",
     "runs of every frame; from 2 on one more comes first, to warm up"},
    {"window", 0, CLI_COUNT, FIELD(window), "K", "1", "frames in flight when measuring frames a second"},
    {"batch", 0, CLI_COUNT, FIELD(batch), "N", "1", "images in a frame"},
    {"trace", 0, CLI_TEXT, FIELD(trace), "FILE", NULL, "write what ran when (Chrome trace JSON)"},
    CLI_PRECISION_OPTIONS(struct run_options, precision),
    CLI_EXEC_OPTIONS(struct run_options, exec),
    CLI_JSON_OPTION(struct run_options, json),
};

/* What a run holds, in the order in which it is made; ended in reverse whatever was made. */
struct session {
  const struct run_options *o;
  struct braid_graph *graph;
  struct source *source;
  struct cli_labels labels;
  struct cli_machine machine;
  struct braid_trace *trace;
  struct braid_pool *pool;
  struct braid_program *program;
  struct outputs outputs;
  enum braid_precision precision;
  struct braid_graph *full; /* lower precision: the graph in fp32, what it answers, and how long it takes */
  struct braid_program *full_program;
  struct outputs full_outputs;
  struct precision_sums compared;
  double *full_ms;
  int n_full;
  struct stack stack; /* all frames' outputs, when they are written */
  double *latency_ms;
  int n_latencies;
  double fps;
  json_t *frames;
};

/* In lower precision the network runs twice: as it was asked for, and in fp32 to compare with. */
static int lower(struct session *s) {
  struct braid_program_opts opts = {.here = BRAID_EDGE, .frames = 1, .cpu_flags = s->machine.cpu_flags};
  struct braid_graph *lowered;
  if (s->precision == BRAID_PRECISION_FP32) return CLI_DONE;
  int exit = precision_lower(s->graph, &s->o->precision, s->source, &lowered);
  if (exit != CLI_DONE) return exit;
  s->full = s->graph;
  s->graph = lowered;
  enum braid_status status = outputs_create(s->full, &s->full_outputs);
  if (status == BRAID_OK) status = braid_program_create(s->pool, s->full, NULL, &opts, &s->full_program);
  return status == BRAID_OK ? CLI_DONE : cli_fail(CLI_FAILED);
}

static int open_program(struct session *s) {
  const struct run_options *o = s->o;
  struct braid_pool_opts pool = {
      .workers = s->machine.workers, .pin = s->machine.pin, .name = "run", .choices = s->machine.choices};
  struct braid_program_opts program = {.here = BRAID_EDGE, .frames = o->window, .cpu_flags = s->machine.cpu_flags};
  if (o->trace && braid_trace_create("run", (size_t)1 << 20, &s->trace) != BRAID_OK) return cli_fail(CLI_FAILED);
  pool.trace = s->trace;
  if (braid_pool_create(&pool, &s->pool) != BRAID_OK) return cli_fail(CLI_FAILED);
  int exit = lower(s);
  if (exit != CLI_DONE) return exit;
  enum braid_status status = braid_program_create(s->pool, s->graph, NULL, &program, &s->program);
  if (status == BRAID_EUNSUPPORTED) return cli_fail(CLI_BAD_INPUT); /* an operator without a kernel for its types */
  return status == BRAID_OK ? CLI_DONE : cli_fail(CLI_FAILED);
}

static int open_buffers(struct session *s) {
  int frames = source_frames(s->source);
  char path[1024];
  if (s->o->output && outputs_path(s->o->output, s->graph, 0, path, sizeof path) != BRAID_OK)
    return cli_usage("run: %s", braid_error());
  if (outputs_create(s->graph, &s->outputs) != BRAID_OK) return cli_fail(CLI_FAILED);
  if (s->o->output && stack_create(s->graph, frames, &s->stack) != BRAID_OK) return cli_fail(CLI_FAILED);
  s->frames = json_array();
  s->latency_ms = braid_calloc((size_t)frames * (size_t)s->o->repeat, sizeof *s->latency_ms);
  s->full_ms = braid_calloc((size_t)frames * (size_t)s->o->repeat, sizeof *s->full_ms);
  return s->latency_ms && s->full_ms ? CLI_DONE : CLI_FAILED;
}

static int open_session(struct session *s, const char *model) {
  int exit = precision_parse(&s->o->precision, &s->precision);
  if (exit == CLI_DONE) exit = cli_open_model(model, s->o->batch, &s->graph);
  if (exit == CLI_DONE) exit = cli_labels_read(s->o->labels, &s->labels);
  if (exit == CLI_DONE) exit = source_open(s->graph, &s->o->input, s->o->precision.preprocess, NULL, &s->source);
  if (exit == CLI_DONE) exit = cli_machine_open(&s->o->exec, &s->machine);
  if (exit == CLI_DONE) exit = open_program(s);
  return exit == CLI_DONE ? open_buffers(s) : exit;
}

static void close_session(struct session *s) {
  json_decref(s->frames);
  braid_free(s->latency_ms);
  braid_free(s->full_ms);
  outputs_free(&s->full_outputs);
  braid_program_destroy(&s->full_program);
  stack_free(&s->stack);
  outputs_free(&s->outputs);
  braid_program_destroy(&s->program);
  braid_pool_destroy(&s->pool);
  braid_trace_destroy(&s->trace);
  cli_machine_close(&s->machine);
  cli_labels_free(&s->labels);
  source_close(&s->source);
  braid_graph_destroy(&s->graph);
  braid_graph_destroy(&s->full); /* which lent its constants */
}

/* ----------------------------------------------------------------------------------------------- running */

static int run_once(struct session *s, const struct braid_tensor *in, int n_in, bool counts) {
  struct braid_clock clock = braid_clock_monotonic();
  int64_t begin = braid_now_ns(&clock);
  if (braid_program_run(s->program, in, n_in, s->outputs.tensor, s->outputs.n) != BRAID_OK) return cli_fail(CLI_FAILED);
  if (counts) s->latency_ms[s->n_latencies++] = cli_ms(braid_now_ns(&clock) - begin);
  return CLI_DONE;
}

/* In turns with the runs of the other precision, so that what the machine does meanwhile hits both. */
static int run_full(struct session *s, const struct braid_tensor *in, int n_in, bool counts) {
  if (!s->full) return CLI_DONE;
  int64_t begin = cli_now_ns();
  if (braid_program_run(s->full_program, in, n_in, s->full_outputs.tensor, s->full_outputs.n) != BRAID_OK)
    return cli_fail(CLI_FAILED);
  if (counts) s->full_ms[s->n_full++] = cli_ms(cli_now_ns() - begin);
  return CLI_DONE;
}

static int run_both(struct session *s, const struct braid_tensor *in, int n_in, bool counts) {
  int exit = run_once(s, in, n_in, counts);
  return exit == CLI_DONE ? run_full(s, in, n_in, counts) : exit;
}

static int keep_answers(struct session *s, int frame) {
  char name[512];
  const char *what = source_name(s->source, frame, name, sizeof name);
  for (int image = 0; image < s->o->batch; image++)
    json_array_append_new(s->frames, json_pack("{s:s, s:o}", "input", what, "top",
                                               cli_top(&s->outputs.tensor[0], image, s->o->top, &s->labels)));
  if (s->o->output) stack_put(&s->stack, frame, s->outputs.tensor);
  for (int k = 0; s->full && k < s->outputs.n; k++)
    if (precision_compare(&s->compared, &s->full_outputs.tensor[k], &s->outputs.tensor[k]) != BRAID_OK)
      return cli_fail(CLI_FAILED);
  return CLI_DONE;
}

static int run_frame(struct session *s, int frame) {
  const struct braid_tensor *in;
  int n_in, exit = source_load(s->source, frame, &in, &n_in);
  bool warm_up = frame == 0 && s->o->repeat > 1;
  if (exit == CLI_DONE && warm_up) exit = run_both(s, in, n_in, false);
  for (int r = 0; r < s->o->repeat && exit == CLI_DONE && !cli_interrupted(); r++) exit = run_both(s, in, n_in, true);
  if (exit == CLI_DONE && !cli_interrupted()) exit = keep_answers(s, frame);
  return exit;
}

static int run_frames(struct session *s) {
  int frames = source_frames(s->source), exit = CLI_DONE;
  for (int i = 0; i < frames && exit == CLI_DONE && !cli_interrupted(); i++) {
    if (frames > 1) cli_progress("running", i, frames);
    exit = run_frame(s, i);
  }
  if (frames > 1) cli_progress("running", frames, frames);
  return exit;
}

/* With one frame at a time the rate follows from the latencies; with more it is measured. */
static int measure_fps(struct session *s) {
  double total_ms = 0;
  for (int i = 0; i < s->n_latencies; i++) total_ms += s->latency_ms[i];
  s->fps = total_ms > 0 ? 1e3 * s->n_latencies / total_ms : 0;
  if (s->o->window == 1) return CLI_DONE;
  int frames = s->n_latencies > 4 * s->o->window ? s->n_latencies : 4 * s->o->window;
  int64_t elapsed_ns;
  int exit = inflight_run(s->program, s->graph, s->source, frames, s->o->window, &elapsed_ns);
  if (exit == CLI_DONE) s->fps = 1e9 * frames / (double)elapsed_ns;
  return exit;
}

static int write_files(struct session *s) {
  enum braid_status status = s->o->output ? outputs_write(&s->stack.all, s->o->output) : BRAID_OK;
  if (status == BRAID_OK && s->o->trace) status = braid_trace_write(s->trace, s->o->trace);
  return status == BRAID_OK ? CLI_DONE : cli_fail(CLI_FAILED);
}

/* ------------------------------------------------------------------------------------------------ report */

static json_t *compared_json(const struct session *s) {
  if (!s->full) return json_null();
  return precision_json(s->precision, &s->compared, cli_stats_of(s->latency_ms, s->n_latencies).p50,
                        cli_stats_of(s->full_ms, s->n_full).p50);
}

static int print_json(const struct session *s, const struct braid_program_info *info) {
  struct cli_stats t = cli_stats_of(s->latency_ms, s->n_latencies);
  json_t *first = json_array_get(s->frames, 0);
  return cli_print_json(
      json_pack("{s:s, s:o, s:O, s:O, s:{s:f, s:f, s:f, s:f}, s:f, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:i, s:o}", "model",
                braid_graph_name(s->graph), "outputs", describe_outputs_json(s->graph), "top",
                json_object_get(first, "top"), "frames", s->frames, "latency_ms", "min", t.min, "p50", t.p50, "p90",
                t.p90, "p99", t.p99, "fps", s->fps, "peak_rss_bytes", (json_int_t)cli_peak_rss_bytes(), "arena_bytes",
                (json_int_t)info->arena_bytes, "arena_bound_bytes", (json_int_t)info->arena_bound_bytes, "packed_bytes",
                (json_int_t)info->packed_bytes, "scratch_bytes", (json_int_t)info->scratch_bytes, "threads",
                s->machine.workers, "runs", s->n_latencies, "window", s->o->window, "precision",
                compared_json(s)));
}

static int print_text(const struct session *s, const struct braid_program_info *info) {
  struct cli_stats t = cli_stats_of(s->latency_ms, s->n_latencies);
  size_t i;
  json_t *frame;
  json_array_foreach(s->frames, i, frame) {
    json_t *top = json_object_get(frame, "top");
    if (json_array_size(top) == 0) continue;
    printf("%s\n", json_string_value(json_object_get(frame, "input")));
    cli_print_top(top, stdout);
    putchar('\n');
  }
  for (int k = 0; k < s->outputs.n; k++) {
    char shape[64];
    int n;
    printf("output '%s': %s\n", braid_graph_node(s->graph, braid_graph_outputs(s->graph, &n)[k])->name,
           braid_shape_text(&s->outputs.tensor[k].shape, shape, sizeof shape));
  }
  printf("latency %.2f ms (min %.2f, p99 %.2f, %d runs), %.1f frames/s with %d in flight, %d workers\n", t.p50, t.min,
         t.p99, s->n_latencies, s->fps, s->o->window, s->machine.workers);
  describe_memory(info, stdout);
  printf("peak memory %.1f MiB\n", (double)cli_peak_rss_bytes() / 1048576);
  if (s->full) {
    json_t *compared = compared_json(s);
    precision_print(compared);
    json_decref(compared);
  }
  return CLI_DONE;
}

static int run(const void *values, char **args, int n_args) {
  struct session s = {.o = values};
  struct braid_program_info info;
  (void)n_args;
  int exit = open_session(&s, args[0]);
  if (exit == CLI_DONE) exit = run_frames(&s);
  if (exit == CLI_DONE && !cli_interrupted()) exit = measure_fps(&s);
  if (exit == CLI_DONE && !cli_interrupted()) exit = write_files(&s);
  if (exit == CLI_DONE && !cli_interrupted()) {
    braid_program_info(s.program, &info);
    exit = s.o->json ? print_json(&s, &info) : print_text(&s, &info);
  }
  close_session(&s);
  return exit;
}

const struct cli_command cmd_run = {"run",
                                    "MODEL",
                                    "runs a network on this machine alone",
                                    "MODEL is a name that 'braid models' lists or a path ending in .onnx. The zoo's "
                                    "weights are pseudo-random: its answers "
                                    "mean nothing, its speed and its equality between machines do.",
                                    1,
                                    1,
                                    options,
                                    CLI_COUNT_OF(options),
                                    run};
