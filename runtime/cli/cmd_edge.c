/* SPDX-License-Identifier: Apache-2.0
 * braid edge: the edge process. */
#include "commands.h"
#include "expose.h"
#include "feeder.h"
#include "live.h"
#include "notify.h"
#include "outputs.h"
#include "plan_file.h"
#include "planning.h"
#include "precision.h"
#include "served.h"
#include "source.h"
#include "tempdir.h"

#include "io.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

struct edge_options {
  struct cli_exec exec;
  struct cli_list input;
  struct cli_precision precision;
  const char *connect, *output, *labels, *trace, *fallback, *policy, *objective, *plan, *profile, *name,
      *slices, *keys, *as, *adapt, *metrics, *raw, *when_full, *deliver;
  int frames, warmup, window, top;
  double fps, up, down, slow, bridge;
  int64_t rtt, timeout, heartbeat;
  size_t edge_memory;
  bool private_input, upload_model, live, json;
};
#define FIELD(member) offsetof(struct edge_options, member)
static const struct cli_option options[] = {
    {"connect", 0, CLI_TEXT, FIELD(connect), "URL", "tcp://127.0.0.1:5555",
     "the cloud's address; with commas, several: the first that answers"},
    {"keys", 0, CLI_TEXT, FIELD(keys), "DIR", NULL,
     "folder with cloud.pub and edges/NAME.key ('braid keys' makes them)"},
    {"as", 0, CLI_TEXT, FIELD(as), "NAME", NULL, "which key in --keys is this edge's, where there are several"},
    {"name", 0, CLI_TEXT, FIELD(name), "NAME", NULL, "what the cloud calls the model; the file's name without .onnx"},
    {"upload-model", 0, CLI_FLAG, FIELD(upload_model), NULL, NULL,
     "send the ONNX file to a cloud that does not have the model and takes it ('braid cloud --accept-models')"},
    {"input", 'i', CLI_LIST, FIELD(input), "[NAME=]FILE", NULL, "as in 'braid run'"},
    {"preprocess", 0, CLI_TEXT, FIELD(precision.preprocess), "HOW", NULL, "as in 'braid run'"},
    {"frames", 0, CLI_INT, FIELD(frames), "N", "0", "frames to run, inputs repeat; 0: each input once"},
    {"warmup", 0, CLI_INT, FIELD(warmup), "N", "0", "frames before them that are not counted"},
    {"fps", 0, CLI_REAL, FIELD(fps), "N", NULL, "submit so many frames a second, not as fast as possible"},
    {"window", 0, CLI_INT, FIELD(window), "K", "0", "frames in flight; 0: 1 for latency, the plan's for throughput"},
    {"policy", 0, CLI_TEXT, FIELD(policy), "NAME", "braid", "who decides; 'braid compare' shows all"},
    {"raw", 0, CLI_TEXT, FIELD(raw), "WxH:FORMAT", NULL,
     "--input (- for standard input, a FIFO) is raw video: rgb24, bgr24, gray8, yuv420p or nv12, as 'ffmpeg -f "
     "rawvideo' "
     "writes it; a YUV4MPEG2 stream says by itself what it is"},
    {"when-full", 0, CLI_TEXT, FIELD(when_full), "block|drop-oldest|drop-newest", "block",
     "when frames come faster than they are taken, with --fps or a stream: hold the source up, or drop"},
    EXPOSE_OPTION(struct edge_options, metrics),
    {"objective", 0, CLI_TEXT, FIELD(objective), "latency|throughput", "latency", "what to minimise"},
    {"deliver", 0, CLI_TEXT, FIELD(deliver), "edge|cloud", NULL,
     "where the results are wanted; cloud: they are left there ('braid cloud --results'), not sent back; else edge, or "
     "what --plan says"},
    {"plan", 0, CLI_TEXT, FIELD(plan), "FILE", NULL, "a plan ('braid plan -o') in place of a policy"},
    {"adapt", 0, CLI_TEXT, FIELD(adapt), "auto|off", "auto",
     "auto: take another plan when the link, the cloud or this device change (not with --plan); off: the first stays"},
    {"bridge", 0, CLI_REAL0, FIELD(bridge), "X", "1.25",
     "with --adapt and latency: answers later than X times the forecast are also computed here; 0: never"},
    {"private", 0, CLI_FLAG, FIELD(private_input), NULL, NULL, "the raw input must not leave the edge"},
    {"edge-memory", 0, CLI_SIZE, FIELD(edge_memory), "SIZE", "0", "limit on weights and activations here; 0: none"},
    {"slices", 0, CLI_TEXT, FIELD(slices), "N|auto", "auto", PLANNING_SLICES_TEXT},
    {"up", 0, CLI_RATE, FIELD(up), "RATE", NULL, "rate of the uplink; measured if not given"},
    {"down", 0, CLI_RATE, FIELD(down), "RATE", NULL, "rate of the downlink; the uplink's if only that is given"},
    {"rtt", 0, CLI_TIME, FIELD(rtt), "TIME", NULL, "round trip, with --up; measured otherwise"},
    {"profile", 0, CLI_TEXT, FIELD(profile), "FILE", NULL,
     "this machine's profile: read if there, else measured and written"},
    {"fallback", 0, CLI_TEXT, FIELD(fallback), "auto|start|off", "auto",
     "when the cloud is gone, go on alone till it is back; start: also begin so; off: exit status 4"},
    {"slow", 0, CLI_REAL, FIELD(slow), "K", "1", "play a device K times slower"},
    {"timeout", 0, CLI_TIME, FIELD(timeout), "TIME", "5s", "how long to wait for the cloud to answer"},
    CLI_HEARTBEAT_OPTION(struct edge_options, heartbeat),
    {"output", 'o', CLI_TEXT, FIELD(output), "DIR", NULL, "write each answer as DIR/FRAME_NAME.npy"},
    {"top", 0, CLI_INT, FIELD(top), "N", "5", "best classes to print"},
    {"labels", 0, CLI_TEXT, FIELD(labels), "FILE", NULL, "names of the classes, one a line"},
    {"trace", 0, CLI_TEXT, FIELD(trace), "FILE", NULL, "write what ran when (Chrome trace JSON)"},
    {"live", 0, CLI_FLAG, FIELD(live), NULL, NULL,
     "show how it goes on standard error: drawn in place on a terminal, else a line every second"},
    CLI_PRECISION_OPTIONS(struct edge_options, precision),
    CLI_EXEC_OPTIONS(struct edge_options, exec),
    CLI_JSON_OPTION(struct edge_options, json),
};

struct session {
  const struct edge_options *o;
  const char *path; /* of the model, or a name of the zoo */
  enum braid_precision precision;
  char dir[TEMPDIR_BYTES], lowered[TEMPDIR_BYTES + 16]; /* of the file that is sent in lower precision; else "" */
  char model[128];
  enum braid_objective objective;
  enum braid_site deliver;
  int slices; /* goal.slices */
  enum braid_fallback fallback;
  const struct braid_policy *policy;
  struct braid_graph *graph;
  struct source *source;
  struct cli_labels labels;
  struct cli_machine machine;
  struct braid_profile *profile;
  struct braid_plan *plan;
  struct braid_trace *trace;
  struct braid_link_keys keys; /* zero without --keys */
  struct expose *expose;
  struct live *live; /* NULL without --live */
  struct braid_edge *edge;
  int window; /* frames in flight */
  int total;  /* frames, the warm-up included; 0: until the stream ends */
  enum feeder_full when_full;
  struct feeder *feeder;
  struct feeder_state fed;
  int answered;
  int64_t next_frame; /* whose answer is expected, unless it was dropped */
  double *latency_ms;
  int64_t *answered_ns, first_ns; /* of counted frames */
  int room;                       /* of both */
};

/* ---------------------------------------------------------------------------------------------- opening */

/* "dir/net.onnx" is "net" to the cloud, "net@int8" in that precision; --name is taken as it is. */
static void name_model(struct session *s, const char *model) {
  const char *given = s->o->name ? s->o->name : model, *slash = strrchr(given, '/');
  snprintf(s->model, sizeof s->model, "%s", slash ? slash + 1 : given);
  size_t n = strlen(s->model);
  if (n > 5 && strcmp(s->model + n - 5, ".onnx") == 0) s->model[n -= 5] = '\0';
  if (s->precision != BRAID_PRECISION_FP32 && !s->o->name)
    snprintf(s->model + n, sizeof s->model - n, "@%s", braid_precision_name(s->precision));
}

static int open_profile(struct session *s) {
  if (s->o->plan) return CLI_DONE; /* nothing to decide */
  struct braid_profile_opts opts = {.cpu_flags = s->machine.cpu_flags,
                                    .choices = s->machine.choices,
                                    .slow = s->o->slow,
                                    .pin = s->machine.pin};
  enum braid_status status = served_profile_at(s->o->profile, s->graph, &opts, s->machine.workers, &s->profile);
  return status == BRAID_OK ? CLI_DONE : cli_fail(s->o->profile ? CLI_BAD_INPUT : CLI_FAILED);
}

static int open_output(const struct session *s) {
  if (!s->o->output || mkdir(s->o->output, 0777) == 0 || errno == EEXIST) return CLI_DONE;
  (void)braid_fail(BRAID_EIO, "--output %s: %s", s->o->output, strerror(errno));
  return cli_fail(CLI_FAILED);
}

static int parse_fallback(const char *text, enum braid_fallback *out) {
  static const char *const names[] = {
      [BRAID_FALLBACK_AUTO] = "auto", [BRAID_FALLBACK_START] = "start", [BRAID_FALLBACK_OFF] = "off"};
  for (size_t i = 0; i < CLI_COUNT_OF(names); i++)
    if (strcmp(text, names[i]) == 0) {
      *out = (enum braid_fallback)i;
      return CLI_DONE;
    }
  return cli_usage("edge: --fallback is auto, start or off, not '%s'", text);
}

static int parse_when_full(const char *text, enum feeder_full *out) {
  static const char *const names[] = {
      [FEEDER_BLOCK] = "block", [FEEDER_DROP_OLDEST] = "drop-oldest", [FEEDER_DROP_NEWEST] = "drop-newest"};
  for (size_t i = 0; i < CLI_COUNT_OF(names); i++)
    if (strcmp(text, names[i]) == 0) {
      *out = (enum feeder_full)i;
      return CLI_DONE;
    }
  return cli_usage("edge: --when-full is block, drop-oldest or drop-newest, not '%s'", text);
}

/* Before anything slow: what the options alone can be wrong in. */
static int check_options(struct session *s) {
  const struct edge_options *o = s->o;
  if (o->as && !o->keys) return cli_usage("edge: --as names a key in --keys");
  if (strcmp(o->adapt, "auto") != 0 && strcmp(o->adapt, "off") != 0)
    return cli_usage("edge: --adapt is auto or off, not '%s'", o->adapt);
  if ((o->rtt > 0 || o->down > 0) && o->up <= 0) return cli_usage("edge: --rtt and --down go with --up");
  int exit = cli_check_heartbeat(o->heartbeat);
  if (exit == CLI_DONE) exit = planning_objective(o->objective, &s->objective);
  if (exit == CLI_DONE) exit = planning_slices(o->slices, &s->slices);
  if (exit == CLI_DONE && o->deliver) exit = planning_deliver(o->deliver, &s->deliver);
  if (exit == CLI_DONE) exit = parse_fallback(o->fallback, &s->fallback);
  if (exit == CLI_DONE) exit = parse_when_full(o->when_full, &s->when_full);
  if (exit == CLI_DONE) exit = precision_parse(&o->precision, &s->precision);
  if (exit == CLI_DONE && o->raw && o->input.n == 0) return cli_usage("edge: --raw says what --input is");
  return exit == CLI_DONE ? planning_policy(o->policy, &s->policy) : exit;
}

/* The file that is sent in place of the model. */
static int write_lowered(struct session *s, const char *model) {
  struct braid_graph *graph;
  int exit = precision_open(model, 1, &s->o->precision, &graph);
  if (exit != CLI_DONE) return exit;
  enum braid_status status = tempdir_make("edge", s->dir);
  if (status == BRAID_OK) {
    snprintf(s->lowered, sizeof s->lowered, "%s/net.onnx", s->dir);
    status = braid_onnx_save(graph, s->lowered);
  }
  braid_graph_destroy(&graph);
  s->path = s->lowered;
  return status == BRAID_OK ? CLI_DONE : cli_fail(CLI_FAILED);
}

/* What is to be uploaded is read as the cloud will read it. */
static int open_model(struct session *s, const char *model) {
  bool lowers = s->precision != BRAID_PRECISION_FP32;
  s->path = model;
  if (!s->o->upload_model) return precision_open(model, 1, &s->o->precision, &s->graph);
  size_t n = strlen(model);
  if (!lowers && (n < 5 || strcmp(model + n - 5, ".onnx") != 0))
    return cli_usage("edge: --upload-model sends an ONNX file; '%s' is none (networks of the zoo are on every cloud)",
                     model);
  int exit = lowers ? write_lowered(s, model) : CLI_DONE;
  if (exit != CLI_DONE) return exit;
  struct braid_open_opts opts = {.batch = 1, .one_file = true, .name = lowers ? s->model : NULL};
  if (braid_model_open(s->path, &opts, &s->graph) == BRAID_OK) return CLI_DONE;
  return cli_fail(CLI_BAD_INPUT);
}

/* A plan says where its results are wanted. */
static int follow_plan(struct session *s) {
  if (!s->plan) return CLI_DONE;
  if (s->o->deliver && s->deliver != s->plan->deliver)
    return cli_usage("edge: --deliver %s, but the plan in %s delivers to the %s", s->o->deliver, s->o->plan,
                     s->plan->deliver == BRAID_CLOUD ? "cloud" : "edge");
  s->deliver = s->plan->deliver;
  return CLI_DONE;
}

static int open_local(struct session *s, const char *model) {
  const struct edge_options *o = s->o;
  name_model(s, model);
  int exit = open_model(s, model);
  if (exit == CLI_DONE) exit = cli_labels_read(o->labels, &s->labels);
  struct source_stream stream = {o->raw};
  if (exit == CLI_DONE) exit = source_open(s->graph, &o->input, o->precision.preprocess, &stream, &s->source);
  if (exit == CLI_DONE) exit = cli_machine_open(&o->exec, &s->machine);
  if (exit == CLI_DONE) exit = open_output(s);
  if (exit == CLI_DONE && o->keys && braid_keys_read_edge(o->keys, o->as, &s->keys) != BRAID_OK)
    exit = cli_fail(CLI_BAD_INPUT);
  if (exit == CLI_DONE && o->plan && plan_file_read(o->plan, s->graph, &s->plan) != BRAID_OK)
    exit = cli_fail(CLI_BAD_INPUT);
  if (exit == CLI_DONE) exit = follow_plan(s);
  if (exit == CLI_DONE) exit = open_profile(s);
  if (exit != CLI_DONE) return exit;
  int frames = o->frames > 0 ? o->frames : source_frames(s->source);
  s->total = frames > 0 ? o->warmup + frames : 0;
  if (s->when_full != FEEDER_BLOCK && o->fps <= 0 && source_frames(s->source) > 0)
    return cli_usage("edge: --when-full %s is for frames that come by themselves: give --fps, or a stream",
                     o->when_full);
  return CLI_DONE;
}

static void link_costs(const struct edge_options *o, struct braid_edge_opts *opts) {
  opts->up = (struct braid_link_cost){o->up, o->rtt / 2, 0};
  opts->down = (struct braid_link_cost){o->down > 0 ? o->down : o->up, o->rtt / 2, 0};
}

/* What went wrong between the two processes is status 4; our own options and files are not. */
static enum cli_exit connect_exit(enum braid_status status) {
  switch (status) {
  case BRAID_EINVAL:
    return CLI_USAGE;
  case BRAID_ENOMEM:
  case BRAID_EUNSUPPORTED:
    return CLI_FAILED;
  default:
    return CLI_PEER;
  }
}

static int connect_cloud(struct session *s) {
  const struct edge_options *o = s->o;
  struct braid_edge_opts opts = {.connect = o->connect,
                                 .keys = o->keys ? &s->keys : NULL,
                                 .model = s->model,
                                 .upload = o->upload_model ? s->path : NULL,
                                 .upload_batch = 1,
                                 .fallback = s->fallback,
                                 .threads = s->machine.workers,
                                 .cpu_flags = s->machine.cpu_flags,
                                 .choices = s->machine.choices,
                                 .pin = s->machine.pin,
                                 .slow = o->slow,
                                 .connect_timeout_ns = o->timeout,
                                 .heartbeat_ns = o->heartbeat,
                                 .plan = s->plan,
                                 .profile = s->profile,
                                 .window = o->window};
  opts.goal.private_input = o->private_input;
  opts.goal.edge_memory = o->edge_memory;
  opts.goal.slices = s->slices;
  opts.goal.window = o->window;
  opts.goal.objective = s->objective;
  opts.goal.deliver = s->deliver;
  opts.policy = s->policy;
  opts.adapt = strcmp(o->adapt, "auto") == 0;
  opts.bridge = o->bridge > 0 ? o->bridge : -1;
  link_costs(o, &opts);
  if (o->trace && braid_trace_create("edge", (size_t)1 << 20, &s->trace) != BRAID_OK) return cli_fail(CLI_FAILED);
  opts.trace = s->trace;
  enum braid_status status = braid_edge_start(s->graph, &opts, &s->edge);
  if (status != BRAID_OK) return cli_fail(connect_exit(status));
  bool throughput = s->objective == BRAID_THROUGHPUT;
  s->window = o->window > 0 ? o->window : throughput ? braid_edge_plan(s->edge)->window : 1;
  return CLI_DONE;
}

static void close_session(struct session *s) {
  feeder_stop(&s->feeder);
  live_stop(&s->live);
  expose_stop(&s->expose);
  braid_edge_stop(&s->edge);
  braid_keys_wipe(&s->keys);
  braid_trace_destroy(&s->trace);
  braid_plan_destroy(&s->plan);
  braid_profile_destroy(&s->profile);
  braid_free(s->latency_ms);
  braid_free(s->answered_ns);
  cli_machine_close(&s->machine);
  cli_labels_free(&s->labels);
  source_close(&s->source);
  braid_graph_destroy(&s->graph);
  tempdir_remove(s->dir);
}

/* ---------------------------------------------------------------------------------------------- answers */

static enum braid_status write_answer(const struct session *s, const struct braid_answer *a) {
  int n;
  const int *id = braid_graph_outputs(s->graph, &n);
  for (int i = 0; i < a->n_out; i++) {
    char path[1024];
    int used = snprintf(path, sizeof path, "%s/%06d_", s->o->output, (int)a->frame);
    for (const char *p = braid_graph_node(s->graph, id[i])->name; *p && used < (int)sizeof path - 5; p++)
      path[used++] = *p == '/' ? '_' : *p;
    snprintf(path + used, sizeof path - (size_t)used, ".npy");
    BRAID_TRY(io_npy_write(path, &a->out[i]));
  }
  return BRAID_OK;
}

/* From when the frame was due, where --fps says when that was: waiting for others counts. */
static double since_due_ms(const struct session *s, const struct braid_answer *a) {
  int64_t due_ns = s->o->fps > 0 ? s->fed.begin_ns + (int64_t)(1e9 * (double)a->frame / s->o->fps) : a->submitted_ns;
  return cli_ms(a->answered_ns - due_ns);
}

/* By its id a consumer of both sides' results knows those that it has already. */
static void name_answer(const struct session *s, const struct braid_answer *a, json_t *line) {
  char id[BRAID_RESULT_ID_BYTES];
  braid_result_id(braid_edge_run(s->edge), a->frame, id);
  json_object_set_new(line, "id", json_string(id));
  json_object_set_new(line, "delivered", json_string(a->delivered == BRAID_CLOUD ? "cloud" : "edge"));
}

static int print_answer(const struct session *s, const struct braid_answer *a) {
  double ms = cli_ms(a->answered_ns - a->submitted_ns);
  const char *policy = a->epoch > 0 ? braid_edge_plan(s->edge)->policy : "alone";
  json_t *top = a->n_out > 0 ? cli_top(&a->out[0], 0, s->o->top, &s->labels) : json_array();
  if (s->o->json) {
    json_t *line =
        json_pack("{s:I, s:f, s:f, s:s, s:i, s:o}", "frame", (json_int_t)a->frame, "latency_ms", ms, "due_ms",
                  since_due_ms(s, a), "plan", policy, "epoch", (int)a->epoch, "top", top);
    if (line && s->deliver == BRAID_CLOUD) name_answer(s, a, line);
    return cli_print_json(line);
  }
  json_t *best = json_array_get(top, 0);
  char name[256];
  printf("frame %llu  %.2f ms  %s", (unsigned long long)a->frame, ms,
         source_name(s->source, (int)a->frame, name, sizeof name));
  if (best)
    printf("  class %d (%.3f) %s", (int)json_integer_value(json_object_get(best, "class")),
           json_real_value(json_object_get(best, "score")), json_string_value(json_object_get(best, "label")));
  if (a->delivered == BRAID_CLOUD) printf("  delivered in the cloud");
  putchar('\n');
  json_decref(top);
  return CLI_DONE;
}

/* Streams do not say how long they are. */
static bool make_room(struct session *s, int i) {
  if (i < s->room) return true;
  int room = s->room > 0 ? 2 * s->room : 1024;
  double *latency_ms = braid_realloc(s->latency_ms, (size_t)room * sizeof *latency_ms);
  if (latency_ms) s->latency_ms = latency_ms;
  int64_t *answered_ns = braid_realloc(s->answered_ns, (size_t)room * sizeof *answered_ns);
  if (answered_ns) s->answered_ns = answered_ns;
  if (latency_ms && answered_ns) s->room = room;
  return latency_ms && answered_ns ? true
                                   : (braid_fail(BRAID_ENOMEM, "no memory for the times of %d frames", room), false);
}

/* Answers come in order: numbers that are left out between them were dropped. */
static int print_dropped(struct session *s, int64_t frame) {
  int exit = CLI_DONE;
  for (; s->next_frame < frame && exit == CLI_DONE && s->o->json; s->next_frame++)
    exit = cli_print_json(json_pack("{s:I, s:b}", "frame", (json_int_t)s->next_frame, "dropped", 1));
  s->next_frame = frame + 1;
  return exit;
}

/* Lines of frames would, on the terminal that --live draws on. Lines of JSON are what somebody asked for: they go above
 * it. */
static bool tears_picture(struct session *s) {
  if (!live_owns_terminal(s->live)) return false;
  if (s->o->json) live_hide(s->live);
  return !s->o->json;
}

static int take_answer(struct session *s, const struct braid_answer *a) {
  int i = s->answered++ - s->o->warmup;
  bool quiet = tears_picture(s);
  if (s->live) live_answer(s->live, a->answered_ns - a->submitted_ns);
  int exit = print_dropped(s, (int64_t)a->frame);
  if (exit != CLI_DONE || i < 0) return exit;
  if (i == 0) s->first_ns = a->submitted_ns;
  if (!make_room(s, i)) return cli_fail(CLI_FAILED);
  s->latency_ms[i] = cli_ms(a->answered_ns - a->submitted_ns);
  s->answered_ns[i] = a->answered_ns;
  if (s->o->output && write_answer(s, a) != BRAID_OK) return cli_fail(CLI_FAILED);
  return quiet ? CLI_DONE : print_answer(s, a);
}

/* ------------------------------------------------------------------------------------------------- loop */

enum { POLL_NS = 50000000, NAP_NS = 200000 }; /* how late the end, and the first frame, may be noticed */

static void nap(void) {
  nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
}

static int collect(struct session *s) {
  struct braid_answer *answer;
  enum braid_status status = braid_edge_wait(s->edge, POLL_NS, &answer);
  if (status == BRAID_ETIMEDOUT) return CLI_DONE;
  if (status != BRAID_OK) return cli_fail(CLI_PEER);
  int exit = take_answer(s, answer);
  braid_answer_destroy(&answer);
  return exit;
}

/* After a signal no more frames are read; those that have been are answered. A second signal ends at once. */
static int run_frames(struct session *s) {
  struct feeder_opts opts = {s->source, s->edge, s->total, s->o->fps, s->when_full};
  int exit = feeder_start(&opts, &s->feeder);
  if (exit != CLI_DONE) return exit;
  if (s->o->live && !(s->live = live_start(&(struct live_opts){s->edge, s->model}))) return cli_fail(CLI_FAILED);
  notify_send("READY=1");
  do {
    feeder_state(s->feeder, &s->fed);
    exit = s->fed.exit;
    if (exit == CLI_DONE && s->answered < s->fed.submitted)
      exit = collect(s);
    else if (exit == CLI_DONE && !s->fed.ended)
      nap();
    if (s->live) live_tick(s->live, (uint64_t)s->fed.dropped);
  } while (exit == CLI_DONE && !(s->fed.ended && s->answered == s->fed.submitted));
  notify_send("STOPPING=1");
  feeder_stop(&s->feeder);
  live_stop(&s->live);
  return exit;
}

/* ---------------------------------------------------------------------------------------------- summary */

static int by_time(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* Frames a second: one at a time, frames over the time from the first submission to the last answer; with a window the
 * slope of the completions while the pipeline is full: as many as are in flight are left out at the beginning and, of a
 * mix, at the end, when frames of its slow part come home that nothing follows; but no more than a third each. */
static double measured_fps(const struct session *s, int n) {
  int ends = s->window > 1 ? (s->window < n / 3 ? s->window : n / 3) : 0;
  int last = n - (braid_edge_plan(s->edge)->n_mix > 0 ? ends : 0);
  if (n > 0) qsort(s->answered_ns, (size_t)n, sizeof *s->answered_ns, by_time); /* of a mix, not in order */
  int64_t begin = ends > 0 ? s->answered_ns[ends - 1] : s->first_ns;
  int64_t span = n > 0 ? s->answered_ns[last - 1] - begin : 0;
  return span > 0 ? 1e9 * (last - ends) / (double)span : 0;
}

static json_t *summary(const struct session *s) {
  struct braid_edge_stats stats;
  int n = s->answered > s->o->warmup ? s->answered - s->o->warmup : 0;
  struct cli_stats t = cli_stats_of(s->latency_ms, n);
  const struct braid_plan *plan = braid_edge_plan(s->edge);
  const struct braid_forecast *f = &plan->forecast;
  braid_edge_stats(s->edge, &stats);
  return json_pack("{s:I, s:I, s:I, s:I, s:{s:f, s:f, s:f, s:f, s:f}, s:f, s:I, s:I, s:I, s:I, s:f, s:f, s:s, s:i, "
                   "s:i, s:f, s:f, s:i, s:I, s:I, s:f, s:I, s:i, s:I}",
                   "frames", (json_int_t)stats.frames, "answered", (json_int_t)stats.answered, "lost",
                   (json_int_t)stats.lost, "duplicates", (json_int_t)stats.duplicates, "latency_ms", "min", t.min,
                   "p50", t.p50, "p90", t.p90, "p99", t.p99, "max", t.max, "fps", measured_fps(s, n), "bytes_up",
                   (json_int_t)stats.bytes_up, "bytes_down", (json_int_t)stats.bytes_down, "replans",
                   (json_int_t)stats.replans, "fallbacks", (json_int_t)stats.fallbacks, "predicted_latency_ms",
                   cli_ms(f->latency_ns), "predicted_fps", f->period_ns > 0 ? 1e9 / (double)f->period_ns : 0.0,
                   "policy", plan->policy, "window", s->window, "warmup", s->o->warmup, "rate_mbit",
                   stats.rate_bits_per_s / 1e6, "rtt_ms", cli_ms(stats.rtt_ns), "threads", s->machine.workers, "alone",
                   (json_int_t)stats.alone, "reconnects", (json_int_t)stats.reconnects, "bound_fps",
                   plan->objective == BRAID_THROUGHPUT && f->bound_ns > 0 ? 1e9 / (double)f->bound_ns : 0.0, "bridged",
                   (json_int_t)stats.bridged, "dropped", s->fed.dropped, "delivered", (json_int_t)stats.delivered);
}

static double real_of(const json_t *object, const char *key) {
  return json_number_value(json_object_get(object, key));
}

static int print_summary(const struct session *s) {
  json_t *sum = summary(s), *latency = json_object_get(sum, "latency_ms");
  if (s->o->json) return cli_print_json(json_pack("{s:o}", "summary", sum));
  printf("%.0f frames, %.0f answered, %.0f lost; plan by %s\n", real_of(sum, "frames"), real_of(sum, "answered"),
         real_of(sum, "lost"), json_string_value(json_object_get(sum, "policy")));
  printf("latency p50 %.2f, p90 %.2f, p99 %.2f ms (predicted %.2f); %.2f frames/s with %d in flight (predicted %.2f)\n",
         real_of(latency, "p50"), real_of(latency, "p90"), real_of(latency, "p99"),
         real_of(sum, "predicted_latency_ms"), real_of(sum, "fps"), s->window, real_of(sum, "predicted_fps"));
  if (real_of(sum, "fallbacks") > 0)
    printf("%.0f times without a cloud: %.0f frames alone, %.0f times back\n", real_of(sum, "fallbacks"),
           real_of(sum, "alone"), real_of(sum, "reconnects"));
  if (real_of(sum, "delivered") > 0) printf("%.0f frames delivered in the cloud\n", real_of(sum, "delivered"));
  if (real_of(sum, "dropped") > 0) printf("%.0f frames dropped: they came too fast\n", real_of(sum, "dropped"));
  printf("%.0f bytes up, %.0f down\n", real_of(sum, "bytes_up"), real_of(sum, "bytes_down"));
  json_decref(sum);
  return CLI_DONE;
}

static int run(const void *values, char **args, int n_args) {
  struct session s = {.o = values};
  (void)n_args;
  braid_log_set_name("edge");
  int exit = check_options(&s);
  if (exit == CLI_DONE) exit = open_local(&s, args[0]);
  if (exit == CLI_DONE && !cli_interrupted()) exit = connect_cloud(&s);
  if (exit == CLI_DONE && s.edge) exit = expose_edge(s.o->metrics, s.edge, &s.expose);
  if (exit == CLI_DONE && s.edge) {
    exit = run_frames(&s);
    int printed = print_summary(&s);
    if (exit == CLI_DONE) exit = printed;
  }
  expose_stop(&s.expose);
  braid_edge_stop(&s.edge); /* its connection's clock is known in the end */
  if (exit == CLI_DONE && s.trace && braid_trace_write(s.trace, s.o->trace) != BRAID_OK) exit = cli_fail(CLI_FAILED);
  close_session(&s);
  return exit;
}

const struct cli_command cmd_edge = {
    "edge",
    "MODEL",
    "the edge process: runs frames together with a cloud",
    "Connects, checks that both sides have the same network, plans from both profiles and the link, and runs the "
    "frames; with --upload-model the cloud may be sent the network. The "
    "answers equal those of 'braid run'. A cloud that does not answer or refuses ends in exit status 4; one "
    "that dies later does not (--fallback).",
    1,
    1,
    options,
    CLI_COUNT_OF(options),
    run};
