/* SPDX-License-Identifier: Apache-2.0
 * braid broker: many clouds behind one address. */
#include "commands.h"
#include "expose.h"
#include "notify.h"
#include "watchdog.h"

#include <stddef.h>

struct broker_options {
  const char *listen, *workers, *keys, *worker_keys, *metrics;
  size_t max_message;
  int64_t heartbeat;
  bool insecure, json;
};
#define FIELD(member) offsetof(struct broker_options, member)
static const struct cli_option options[] = {
    {"listen", 0, CLI_TEXT, FIELD(listen), "URL", "tcp://127.0.0.1:5555", "where edges connect; port 0: a free one"},
    {"workers", 0, CLI_TEXT, FIELD(workers), "URL", "tcp://127.0.0.1:5556", "where clouds join ('braid cloud --join')"},
    {"keys", 0, CLI_TEXT, FIELD(keys), "DIR", NULL, "let in only edges that 'braid keys DIR' made keys for"},
    {"worker-keys", 0, CLI_TEXT, FIELD(worker_keys), "DIR", NULL,
     "let in only workers that 'braid keys DIR --edge NAME' made keys for; another folder than --keys"},
    {"insecure", 0, CLI_FLAG, FIELD(insecure), NULL, NULL, "listen in the clear where other machines can reach it"},
    {"max-message", 0, CLI_SIZE, FIELD(max_message), "SIZE", "64MiB", "largest message; the workers' must not be less"},
    EXPOSE_OPTION(struct broker_options, metrics),
    CLI_HEARTBEAT_OPTION(struct broker_options, heartbeat),
    CLI_JSON_OPTION(struct broker_options, json),
};

static void say(void *ctx, const char *kind, const char *text) {
  cli_event(((const struct broker_options *)ctx)->json, kind, text);
}

static int read_keys(const char *dir, struct braid_link_keys *keys, const struct braid_link_keys **out) {
  if (!dir) return CLI_DONE;
  if (braid_keys_read_cloud(dir, keys) != BRAID_OK) return cli_fail(CLI_BAD_INPUT);
  *out = keys;
  return CLI_DONE;
}

static int start(const struct broker_options *o, struct braid_broker **out) {
  struct braid_link_keys keys = {{0}}, worker_keys = {{0}};
  struct broker_options *ctx = (struct broker_options *)(uintptr_t)o;
  struct braid_broker_opts opts = {.listen = o->listen,
                                   .workers = o->workers,
                                   .allow_clear = o->insecure,
                                   .max_payload_bytes = o->max_message,
                                   .heartbeat_ns = o->heartbeat,
                                   .event = say,
                                   .ctx = ctx};
  int exit = read_keys(o->keys, &keys, &opts.keys);
  if (exit == CLI_DONE) exit = read_keys(o->worker_keys, &worker_keys, &opts.worker_keys);
  if (exit == CLI_DONE) {
    enum braid_status status = braid_broker_start(&opts, out);
    if (status != BRAID_OK) exit = cli_fail(status == BRAID_EINVAL ? CLI_USAGE : CLI_PEER);
  }
  braid_keys_wipe(&keys);
  braid_keys_wipe(&worker_keys);
  return exit;
}

static void tell_manager(const struct braid_broker_stats *stats) {
  notify_send("STATUS=%d workers, %d sessions, %llu messages", stats->workers, stats->sessions,
              (unsigned long long)stats->messages);
}

static void serve(const struct broker_options *o, struct braid_broker *broker) {
  char text[512];
  struct watchdog dog = watchdog_of_manager();
  struct braid_broker_stats stats;
  snprintf(text, sizeof text, "on %s", braid_broker_address(broker));
  cli_event(o->json, "listening", text);
  snprintf(text, sizeof text, "on %s", braid_broker_workers_address(broker));
  cli_event(o->json, "workers", text);
  notify_send("READY=1\nSTATUS=listening %s", text);
  for (int look = 1; !cli_interrupted(); look++) {
    watchdog_nap();
    braid_broker_stats(broker, &stats);
    watchdog_feed(&dog, stats.turns);
    if (look % WATCHDOG_STATUS_LOOKS == 0) tell_manager(&stats);
  }
  notify_send("STOPPING=1");
}

static int run(const void *values, char **args, int n_args) {
  const struct broker_options *o = values;
  struct braid_broker *broker = NULL;
  struct expose *expose = NULL;
  (void)args;
  (void)n_args;
  if (o->insecure && (o->keys || o->worker_keys)) return cli_usage("broker: keys or --insecure, not both");
  braid_log_set_name("broker");
  int exit = cli_check_heartbeat(o->heartbeat);
  if (exit == CLI_DONE) exit = start(o, &broker);
  if (exit == CLI_DONE) exit = expose_broker(o->metrics, broker, &expose);
  if (exit == CLI_DONE) serve(o, broker);
  expose_stop(&expose);
  braid_broker_stop(&broker);
  return exit;
}

const struct cli_command cmd_broker = {
    "broker",
    "",
    "many clouds behind one address",
    "Edges connect to --listen as to any cloud, clouds started with 'braid cloud --join URL' join at --workers, "
    "whenever "
    "they like. Each edge's session goes to the worker with the fewest and stays there. A worker that is ended by "
    "SIGTERM drains; one that dies costs no frame: its edges are told and get another. One line an event.",
    0,
    0,
    options,
    CLI_COUNT_OF(options),
    run};
