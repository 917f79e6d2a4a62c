/* SPDX-License-Identifier: Apache-2.0
 * braid cloud: the cloud process. */
#include "commands.h"
#include "expose.h"
#include "notify.h"
#include "results.h"
#include "served.h"
#include "watchdog.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

struct cloud_options {
  struct cli_exec exec;
  struct cli_list preload;
  const char *listen, *join, *as, *models, *profiles, *trace, *keys, *metrics, *results;
  double slow;
  int64_t heartbeat;
  size_t memory, session_memory, max_message, max_model, models_quota, results_spare;
  int max_sessions, max_per_edge, top;
  double max_fps;
  int64_t drain;
  struct cli_list only;
  bool insecure, accept_models, json;
};
#define FIELD(member) offsetof(struct cloud_options, member)
static const struct cli_option options[] = {
    {"listen", 0, CLI_TEXT, FIELD(listen), "URL", "tcp://127.0.0.1:5555", "where edges connect; port 0: a free one"},
    {"join", 0, CLI_TEXT, FIELD(join), "URL", NULL, "be a worker of the broker there, in place of listening"},
    {"keys", 0, CLI_TEXT, FIELD(keys), "DIR", NULL,
     "let in only edges that 'braid keys DIR' made keys for; with --join: cloud.pub of the broker, and edges/NAME.key"},
    {"as", 0, CLI_TEXT, FIELD(as), "NAME", NULL, "with --join: which key in --keys is this worker's"},
    {"insecure", 0, CLI_FLAG, FIELD(insecure), NULL, NULL, "listen in the clear where other machines can reach it"},
    {"models", 0, CLI_TEXT, FIELD(models), "DIR", NULL, "serve DIR/NAME.onnx beside the zoo"},
    {"accept-models", 0, CLI_FLAG, FIELD(accept_models), NULL, NULL,
     "take models that edges upload ('braid edge --upload-model') into --models, as DIR/uploaded/SHA256.onnx"},
    {"max-model", 0, CLI_SIZE, FIELD(max_model), "SIZE", "512MiB", "largest model that an edge may upload"},
    {"models-quota", 0, CLI_SIZE, FIELD(models_quota), "SIZE", "4GiB", "of all uploaded models together"},
    {"profiles", 0, CLI_TEXT, FIELD(profiles), "DIR", NULL,
     "keep profiles as DIR/NAME.json: read if there, else measured and written"},
    {"preload", 0, CLI_LIST, FIELD(preload), "NAME", NULL, "open and profile a model before listening"},
    {"slow", 0, CLI_REAL, FIELD(slow), "K", "1", "play a machine K times slower"},
    {"memory", 0, CLI_SIZE, FIELD(memory), "SIZE", "0",
     "limit on arenas and packed weights of all sessions; 0: none, with --accept-models half of this machine's"},
    {"max-sessions", 0, CLI_COUNT, FIELD(max_sessions), "N", "64", "edges served at once; more are refused"},
    {"max-sessions-per-edge", 0, CLI_INT, FIELD(max_per_edge), "N", "0",
     "of one key, without keys of one address; 0: no limit of its own"},
    {"session-memory", 0, CLI_SIZE, FIELD(session_memory), "SIZE", "0", "limit on the arenas of one edge; 0: none"},
    {"max-message", 0, CLI_SIZE, FIELD(max_message), "SIZE", "64MiB", "largest message that an edge may send"},
    {"max-fps", 0, CLI_REAL, FIELD(max_fps), "X", NULL, "frames a second of one edge; more wait their turn"},
    {"only", 0, CLI_LIST, FIELD(only), "NAME", NULL, "serve this model, and others named so, but nothing else"},
    {"results", 0, CLI_TEXT, FIELD(results), "DIR|-", NULL,
     "take what edges leave here ('braid edge --deliver cloud'): .npy files and results.jsonl in DIR; -: a JSON object "
     "a frame on standard output, which then has nothing else"},
    {"results-spare", 0, CLI_SIZE, FIELD(results_spare), "SIZE", "64MiB",
     "so much of the disk of --results stays free: results that need it are left to the edge"},
    {"top", 0, CLI_INT, FIELD(top), "N", "5", "with --results -: best classes to print"},
    {"drain", 0, CLI_TIME, FIELD(drain), "TIME", "10s",
     "on SIGTERM: time for edges to go elsewhere and for frames in flight; a second signal ends at once"},
    EXPOSE_OPTION(struct cloud_options, metrics),
    CLI_HEARTBEAT_OPTION(struct cloud_options, heartbeat),
    {"trace", 0, CLI_TEXT, FIELD(trace), "FILE", NULL, "write what ran when (Chrome trace JSON) at the end"},
    CLI_EXEC_OPTIONS(struct cloud_options, exec),
    CLI_JSON_OPTION(struct cloud_options, json),
};

struct server {
  const struct cloud_options *o;
  struct served served; /* first: also the callbacks' context */
  struct cli_machine machine;
  struct braid_trace *trace;
  struct braid_store *store;
  struct braid_cloud *cloud;
  struct expose *expose;
  struct results *results; /* NULL: no place for them */
  pthread_mutex_t gate;    /* held until it has said where it listens, which is the first event */
};

/* Where standard output is the results', whose reader may be slow, events are logged: nobody waits for them. */
static void say(const struct server *s, const char *kind, const char *text) {
  if (!s->o->results || strcmp(s->o->results, "-") != 0)
    cli_event(s->o->json, kind, text);
  else if (braid_log_is_json())
    braid_log_event(BRAID_LOG_INFO, kind, NULL, 0, "%s", text);
  else
    braid_log(BRAID_LOG_INFO, "%s %s", kind, text);
}

/* Edges may be there before the main thread has said that the cloud is. */
static void on_event(void *ctx, const char *kind, const char *text) {
  struct server *s = ctx;
  pthread_mutex_lock(&s->gate);
  pthread_mutex_unlock(&s->gate);
  say(s, kind, text);
}

static enum braid_status on_result(void *ctx, const struct braid_result *result) {
  return results_put(((const struct server *)ctx)->results, result);
}

/* With --only: is it one of those? */
static bool is_offered(const struct cli_list *only, const char *name) {
  for (int i = 0; i < only->n; i++)
    if (strcmp(only->item[i], name) == 0) return true;
  return only->n == 0;
}

static enum braid_status on_resolve(void *ctx, const char *name, const struct braid_graph **out) {
  if (!is_offered(&((struct server *)ctx)->o->only, name))
    return braid_fail(BRAID_EUNSUPPORTED, "this cloud offers other models only");
  return served_resolve(&((struct server *)ctx)->served, name, out);
}
static enum braid_status on_profile(void *ctx, const struct braid_graph *graph, struct braid_profile **out) {
  return served_profile(&((struct server *)ctx)->served, graph, out);
}

static int preload(struct server *s) {
  for (int i = 0; i < s->o->preload.n && !cli_interrupted(); i++) {
    const struct braid_graph *graph;
    struct braid_profile *profile;
    if (served_resolve(&s->served, s->o->preload.item[i], &graph) != BRAID_OK) return cli_fail(CLI_BAD_INPUT);
    if (served_profile(&s->served, graph, &profile) != BRAID_OK) return cli_fail(CLI_FAILED);
    braid_profile_destroy(&profile);
  }
  return CLI_DONE;
}

static int start(struct server *s, const struct braid_link_keys *keys) {
  const struct cloud_options *o = s->o;
  char joined[512];
  snprintf(joined, sizeof joined, "join+%s", o->join ? o->join : "");
  struct braid_cloud_opts opts = {.listen = o->join ? joined : o->listen,
                                  .keys = keys,
                                  .allow_clear = o->insecure,
                                  .resolve = on_resolve,
                                  .profile = on_profile,
                                  .event = on_event,
                                  .result = s->results ? on_result : NULL,
                                  .ctx = s,
                                  .threads = s->machine.workers,
                                  .cpu_flags = s->machine.cpu_flags,
                                  .choices = s->machine.choices,
                                  .pin = s->machine.pin,
                                  .slow = o->slow,
                                  .heartbeat_ns = o->heartbeat,
                                  .memory_bytes = o->memory,
                                  .max_payload_bytes = o->max_message,
                                  .max_sessions = o->max_sessions,
                                  .max_sessions_per_edge = o->max_per_edge,
                                  .session_memory_bytes = o->session_memory,
                                  .max_frames_per_s = o->max_fps,
                                  .store = s->store};
  if (o->trace && braid_trace_create("cloud", (size_t)1 << 20, &s->trace) != BRAID_OK) return cli_fail(CLI_FAILED);
  opts.trace = s->trace;
  enum braid_status status = braid_cloud_start(&opts, &s->cloud);
  if (status == BRAID_OK) return CLI_DONE;
  return cli_fail(status == BRAID_EINVAL ? CLI_USAGE : CLI_PEER); /* a taken port, a host that does not resolve */
}

/* The secret is in memory only while the link is being opened (and in libzmq, as long as it is open). */
static int start_with_keys(struct server *s) {
  struct braid_link_keys keys;
  if (!s->o->keys) return start(s, NULL);
  enum braid_status status =
      s->o->join ? braid_keys_read_edge(s->o->keys, s->o->as, &keys) : braid_keys_read_cloud(s->o->keys, &keys);
  if (status != BRAID_OK) return cli_fail(CLI_BAD_INPUT);
  int exit = start(s, &keys);
  braid_keys_wipe(&keys);
  return exit;
}

static void tell_manager(const struct braid_cloud_stats *stats) {
  notify_send("STATUS=%d session%s, %llu frames, load %.0f %%", stats->sessions, stats->sessions == 1 ? "" : "s",
              (unsigned long long)stats->frames, 100 * stats->load);
}

/* Until nobody is left, the time is up, or SIGINT says that somebody is in a hurry; a second SIGTERM kills. */
static void drain(const struct server *s, struct watchdog *dog) {
  struct braid_cloud_stats stats;
  if (s->o->drain <= 0 || cli_interrupted() != SIGTERM) return;
  notify_send("STOPPING=1\nSTATUS=draining");
  braid_cloud_drain(s->cloud);
  for (int64_t left_ns = s->o->drain; left_ns > 0 && cli_interrupted() == SIGTERM; left_ns -= WATCHDOG_LOOK_NS) {
    braid_cloud_stats(s->cloud, &stats);
    if (stats.draining && stats.sessions == 0) break;
    watchdog_feed(dog, stats.turns);
    watchdog_nap();
  }
}

static void announce(const struct server *s) {
  char text[256];
  snprintf(text, sizeof text, "on %s", braid_cloud_address(s->cloud));
  say(s, s->o->join ? "joining" : "listening", text);
  notify_send("READY=1\nSTATUS=listening %s", text);
}

static void serve(struct server *s) {
  struct watchdog dog = watchdog_of_manager();
  struct braid_cloud_stats stats;
  for (int look = 1; !cli_interrupted(); look++) {
    watchdog_nap();
    braid_cloud_stats(s->cloud, &stats);
    watchdog_feed(&dog, stats.turns);
    if (look % WATCHDOG_STATUS_LOOKS == 0) tell_manager(&stats);
  }
  drain(s, &dog);
  notify_send("STOPPING=1");
}

static int open_store(struct server *s) {
  struct braid_store_opts opts = {s->o->models, s->o->max_model, s->o->models_quota};
  if (!s->o->accept_models || braid_store_open(&opts, &s->store) == BRAID_OK) return CLI_DONE;
  return cli_fail(CLI_FAILED);
}

static int check_options(const struct cloud_options *o) {
  if (o->keys && o->insecure) return cli_usage("cloud: --keys or --insecure, not both");
  if (o->as && !(o->keys && o->join)) return cli_usage("cloud: --as names a worker's key in --keys, with --join");
  if (o->accept_models && !o->models) return cli_usage("cloud: --accept-models needs --models DIR to keep them in");
  if (o->max_model == 0 || o->models_quota == 0) return cli_usage("cloud: --max-model and --models-quota are above 0");
  if (o->accept_models && o->only.n > 0) return cli_usage("cloud: --accept-models or --only, not both");
  return cli_check_heartbeat(o->heartbeat);
}

static int run(const void *values, char **args, int n_args) {
  const struct cloud_options *o = values;
  struct server s = {.o = o, .gate = PTHREAD_MUTEX_INITIALIZER};
  (void)args;
  (void)n_args;
  braid_log_set_name("cloud");
  int exit = check_options(o);
  if (exit == CLI_DONE) exit = cli_machine_open(&o->exec, &s.machine);
  if (exit != CLI_DONE) return exit;
  s.served = (struct served){.mutex = PTHREAD_MUTEX_INITIALIZER,
                             .models_dir = o->models,
                             .profiles_dir = o->profiles,
                             .cpu_flags = s.machine.cpu_flags,
                             .choices = s.machine.choices,
                             .pin = s.machine.pin,
                             .threads = s.machine.workers,
                             .slow = o->slow};
  exit = open_store(&s);
  if (exit == CLI_DONE && o->results) exit = results_open(o->results, o->top, o->results_spare, &s.results);
  if (exit == CLI_DONE) exit = preload(&s);
  pthread_mutex_lock(&s.gate);
  if (exit == CLI_DONE && !cli_interrupted()) exit = start_with_keys(&s);
  if (exit == CLI_DONE && s.cloud) exit = expose_cloud(o->metrics, s.cloud, &s.expose);
  if (exit == CLI_DONE && s.cloud) announce(&s);
  pthread_mutex_unlock(&s.gate);
  if (exit == CLI_DONE && s.cloud) serve(&s);
  expose_stop(&s.expose);
  braid_cloud_stop(&s.cloud);
  results_close(&s.results);
  if (exit == CLI_DONE && s.trace && braid_trace_write(s.trace, o->trace) != BRAID_OK) exit = cli_fail(CLI_FAILED);
  braid_trace_destroy(&s.trace);
  braid_store_close(&s.store);
  served_free(&s.served);
  cli_machine_close(&s.machine);
  return exit;
}

const struct cli_command cmd_cloud = {
    "cloud",
    "",
    "the cloud process: serves edges until it is interrupted",
    "Serves any number of edges and models. A model is found by name in the zoo and in --models, and used only if its "
    "content hash is the one that the edge has; with --accept-models an edge may bring a model that is not there. "
    "One line an event; the first says 'listening on URL'. Edges get equal "
    "shares of the workers, however much they send. Results that are wanted here (--results) come at least once over "
    "edge and cloud, under one id. On SIGTERM it drains: edges go elsewhere or on alone, frames in "
    "flight are finished. Tells systemd that it is ready, how it is and that it lives (Type=notify, WatchdogSec).",
    0,
    0,
    options,
    CLI_COUNT_OF(options),
    run};
