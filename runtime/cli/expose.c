/* SPDX-License-Identifier: Apache-2.0
 * Figures are gathered when somebody asks; between questions they cost nothing. A process is healthy as long as its I/O
 * thread turns. */
#include "expose.h"

#include "metrics.h"

#include <stdio.h>

#define STILL_NS INT64_C(5000000000) /* an I/O thread turns at least once a second */

struct expose {
  struct metrics_server *server;
  struct braid_edge *edge;
  struct braid_cloud *cloud;
  struct braid_broker *broker;
  uint64_t turns;
  int64_t moved_ns;
};

static void counter(struct metrics_page *page, const char *name, const char *help, uint64_t value) {
  metrics_value(page, name, METRICS_COUNTER, help, (double)value);
}

static void gauge(struct metrics_page *page, const char *name, const char *help, double value) {
  metrics_value(page, name, METRICS_GAUGE, help, value);
}

static void both_ways(struct metrics_page *page, const char *name, const char *help, uint64_t up, uint64_t down) {
  metrics_family(page, name, METRICS_COUNTER, help);
  metrics_sample(page, "direction=\"up\"", (double)up);
  metrics_sample(page, "direction=\"down\"", (double)down);
}

/* ---------------------------------------------------------------------------------------------------- edge */

static void put_latency(struct metrics_page *page, const struct braid_histogram *h) {
  double bound_s[BRAID_HISTOGRAM_BOUNDS];
  for (int i = 0; i < BRAID_HISTOGRAM_BOUNDS; i++) bound_s[i] = (double)braid_histogram_bound_ns[i] / 1e9;
  metrics_family(page, "braid_edge_latency_seconds", METRICS_HISTOGRAM, "From submission to answer, of all frames.");
  metrics_histogram(page, bound_s, h->count, BRAID_HISTOGRAM_BOUNDS, (double)h->sum_ns / 1e9);
}

static void put_plan(struct metrics_page *page, const struct braid_edge *edge) {
  struct braid_plan *plan = NULL;
  char label[64];
  int here = 0;
  if (braid_edge_plan_now(edge, &plan) != BRAID_OK) return;
  for (int i = 0; i < plan->n_nodes; i++) here += plan->site[i] == BRAID_EDGE;
  metrics_family(page, "braid_edge_plan_info", METRICS_GAUGE, "Who made the plan in force; always 1.");
  metrics_sample(page, metrics_label(label, sizeof label, "policy", plan->policy), 1);
  gauge(page, "braid_edge_plan_edge_nodes", "Nodes that the plan in force computes here.", here);
  gauge(page, "braid_edge_plan_latency_seconds", "What that plan is expected to take for a frame.",
        (double)plan->forecast.latency_ns / 1e9);
  gauge(page, "braid_edge_plan_period_seconds", "What that plan is expected to take between frames.",
        (double)plan->forecast.period_ns / 1e9);
  braid_plan_destroy(&plan);
}

static void collect_edge(const struct expose *e, struct metrics_page *page) {
  struct braid_edge_stats s;
  braid_edge_stats(e->edge, &s);
  counter(page, "braid_edge_frames_total", "Frames submitted.", s.frames);
  counter(page, "braid_edge_answers_total", "Frames answered.", s.answered);
  counter(page, "braid_edge_lost_total", "Frames lost.", s.lost);
  counter(page, "braid_edge_duplicates_total", "Second answers, dropped.", s.duplicates);
  counter(page, "braid_edge_alone_total", "Frames answered, or finished, without a cloud.", s.alone);
  counter(page, "braid_edge_bridged_total", "Late frames finished here before the cloud's answer.", s.bridged);
  counter(page, "braid_edge_delivered_total", "Frames whose results are with a consumer in the cloud.", s.delivered);
  counter(page, "braid_edge_fallbacks_total", "Times that the edge had to go on alone.", s.fallbacks);
  counter(page, "braid_edge_reconnects_total", "Times that it came back to a cloud.", s.reconnects);
  counter(page, "braid_edge_replans_total", "Changes of plan on a connection.", s.replans);
  both_ways(page, "braid_edge_payload_bytes_total", "Tensor bytes sent and received.", s.bytes_up, s.bytes_down);
  gauge(page, "braid_edge_connected", "1 while new frames go to a cloud.", s.connected);
  gauge(page, "braid_edge_in_flight", "Frames in flight.", s.in_flight);
  gauge(page, "braid_edge_window", "Most frames in flight under the plan in force.", s.window);
  gauge(page, "braid_edge_link_bits_per_second", "Rate of the uplink, estimated.", s.rate_bits_per_s);
  gauge(page, "braid_edge_link_rtt_seconds", "Smallest round trip seen lately.", (double)s.rtt_ns / 1e9);
  gauge(page, "braid_edge_cloud_load", "Times longer than profiled that the cloud's tasks take; 0: not known.",
        s.cloud_load);
  gauge(page, "braid_edge_cloud_busy", "Share of the cloud's workers' time taken, by its report; 0: not known.",
        s.cloud_busy);
  gauge(page, "braid_edge_workers", "Worker threads.", s.pool.workers);
  metrics_value(page, "braid_edge_busy_seconds_total", METRICS_COUNTER, "Time of all workers together in tasks.",
                (double)s.pool.busy_ns / 1e9);
  put_latency(page, &s.latency);
  put_plan(page, e->edge);
}

/* --------------------------------------------------------------------------------------------------- cloud */

static void collect_cloud(const struct expose *e, struct metrics_page *page) {
  struct braid_cloud_stats s;
  braid_cloud_stats(e->cloud, &s);
  gauge(page, "braid_cloud_sessions", "Edges served now.", s.sessions);
  gauge(page, "braid_cloud_draining", "1 while no new edges are taken.", s.draining);
  counter(page, "braid_cloud_sessions_total", "Sessions that began.", s.joined);
  metrics_family(page, "braid_cloud_ended_total", METRICS_COUNTER, "Edges turned away, and sessions that broke.");
  metrics_sample(page, "reason=\"refused\"", (double)s.refused);
  metrics_sample(page, "reason=\"lost\"", (double)s.lost);
  counter(page, "braid_cloud_frames_total", "Frames begun.", s.frames);
  counter(page, "braid_cloud_delivered_total", "Frames whose results were left here.", s.delivered);
  both_ways(page, "braid_cloud_payload_bytes_total", "Tensor bytes received (up) and sent (down).", s.bytes_up,
            s.bytes_down);
  gauge(page, "braid_cloud_load", "Share of the workers' time that sessions took lately, 0 to 1.", s.load);
  gauge(page, "braid_cloud_memory_bytes", "Arenas and packed weights in use.", (double)s.memory_bytes);
  gauge(page, "braid_cloud_memory_limit_bytes", "Their limit; 0: none.", (double)s.memory_limit_bytes);
  gauge(page, "braid_cloud_workers", "Worker threads.", s.pool.workers);
  gauge(page, "braid_cloud_ready_tasks", "Tasks that wait for a worker.", s.pool.ready);
  counter(page, "braid_cloud_tasks_total", "Tasks that have run.", s.pool.tasks);
  metrics_value(page, "braid_cloud_busy_seconds_total", METRICS_COUNTER, "Time of all workers together in tasks.",
                (double)s.pool.busy_ns / 1e9);
}

/* -------------------------------------------------------------------------------------------------- broker */

static void collect_broker(const struct expose *e, struct metrics_page *page) {
  struct braid_broker_stats s;
  braid_broker_stats(e->broker, &s);
  gauge(page, "braid_broker_workers", "Clouds that have joined.", s.workers);
  gauge(page, "braid_broker_sessions", "Edges served now.", s.sessions);
  counter(page, "braid_broker_messages_total", "Messages passed on, both ways.", s.messages);
  counter(page, "braid_broker_payload_bytes_total", "Their payloads.", s.bytes);
}

/* ------------------------------------------------------------------------------------------------------ all */

static void collect(void *ctx, struct metrics_page *page) {
  const struct expose *e = ctx;
  if (e->edge) collect_edge(e, page);
  if (e->cloud) collect_cloud(e, page);
  if (e->broker) collect_broker(e, page);
  metrics_process(page);
}

static uint64_t turns_of(const struct expose *e) {
  struct braid_edge_stats edge = {.turns = 0};
  struct braid_cloud_stats cloud = {.turns = 0};
  struct braid_broker_stats broker = {.turns = 0};
  if (e->edge) braid_edge_stats(e->edge, &edge);
  if (e->cloud) braid_cloud_stats(e->cloud, &cloud);
  if (e->broker) braid_broker_stats(e->broker, &broker);
  return edge.turns + cloud.turns + broker.turns;
}

/* On the server's one thread. */
static bool healthy(void *ctx) {
  struct expose *e = ctx;
  uint64_t turns = turns_of(e);
  if (turns != e->turns) {
    e->turns = turns;
    e->moved_ns = cli_now_ns();
  }
  return cli_now_ns() - e->moved_ns < STILL_NS;
}

static int start(const char *address, const struct expose *what, struct expose **out) {
  if (!address) return CLI_DONE;
  struct expose *e = braid_malloc(sizeof *e);
  if (!e) return CLI_FAILED;
  *e = *what;
  e->moved_ns = cli_now_ns();
  struct metrics_source source = {collect, healthy, e};
  enum braid_status status = metrics_start(address, &source, &e->server);
  if (status == BRAID_OK) {
    braid_log(BRAID_LOG_INFO, "metrics at %s", metrics_url(e->server));
    *out = e;
    return CLI_DONE;
  }
  braid_free(e);
  return cli_fail(status == BRAID_EINVAL ? CLI_USAGE : CLI_FAILED);
}

int expose_edge(const char *address, struct braid_edge *edge, struct expose **out) {
  return start(address, &(struct expose){.edge = edge}, out);
}

int expose_cloud(const char *address, struct braid_cloud *cloud, struct expose **out) {
  return start(address, &(struct expose){.cloud = cloud}, out);
}

int expose_broker(const char *address, struct braid_broker *broker, struct expose **out) {
  return start(address, &(struct expose){.broker = broker}, out);
}

void expose_stop(struct expose **expose) {
  if (!*expose) return;
  metrics_stop(&(*expose)->server);
  braid_free(*expose);
  *expose = NULL;
}
