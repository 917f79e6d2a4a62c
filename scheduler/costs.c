/* SPDX-License-Identifier: Apache-2.0
 * The cost model: the time of a (node, band) on a site, the bytes and the time of a band on a link. Policies, bounds
 * and the simulator all ask here, so that they mean the same thing.
 *
 * A node's time is spread evenly over its rows; each task pays the site's overhead once, and a slice of a node cut into
 * several what its kernel loses by being called for a part only. Times on the wire are rounded
 * up per message, so cutting a tensor finer never makes it look cheaper. */
#include "internal.h"

#include <math.h>

#define MESSAGE_BYTES 32768
#define WORKERS_MAX 4096

int cost_workers(const struct braid_costs *costs, enum braid_site site) {
  return site == BRAID_EDGE ? costs->edge_workers : costs->cloud_workers;
}

int64_t cost_node_ns(const struct braid_costs *costs, enum braid_site site, int id) {
  if (site == BRAID_EDGE) return costs->edge_ns[id];
  int64_t ns = costs->cloud_ns[id];
  return costs->cloud_load > 0 ? llround((double)ns * costs->cloud_load) : ns;
}

static int64_t slice_ns(const struct braid_costs *costs, enum braid_site site, int id) {
  const int64_t *ns = site == BRAID_EDGE ? costs->edge_slice_ns : costs->cloud_slice_ns;
  if (!ns) return 0;
  return site == BRAID_CLOUD && costs->cloud_load > 0 ? llround((double)ns[id] * costs->cloud_load) : ns[id];
}

/* total * row / rows, rounded down, without leaving int64: `rows` may be anything an int holds. */
static int64_t share_to(int64_t total, int row, int rows) {
  return total / rows * row + total % rows * row / rows;
}

int64_t cost_share(int64_t total, struct braid_band band, int rows) {
  return share_to(total, band.end, rows) - share_to(total, band.begin, rows);
}

static int rows_of(const struct braid_graph *graph, int id) {
  int rows = braid_graph_node(graph, id)->rows;
  return rows > 0 ? rows : 1;
}

int64_t cost_task_ns(const struct braid_costs *costs, const struct braid_graph *graph, enum braid_site site, int id,
                     struct braid_band band) {
  int64_t overhead = site == BRAID_EDGE ? costs->edge_task_ns : costs->cloud_task_ns;
  int rows = rows_of(graph, id);
  if (band.end - band.begin < rows) overhead += slice_ns(costs, site, id);
  return cost_share(cost_node_ns(costs, site, id), band, rows) + overhead;
}

size_t cost_tensor_bytes(const struct braid_costs *costs, const struct braid_graph *graph, int id) {
  return costs->wire_bytes ? costs->wire_bytes[id] : braid_graph_node(graph, id)->bytes;
}

size_t cost_band_bytes(const struct braid_costs *costs, const struct braid_graph *graph, int id,
                       struct braid_band band) {
  return (size_t)cost_share((int64_t)cost_tensor_bytes(costs, graph, id), band, rows_of(graph, id));
}

int cost_message_rows(const struct braid_costs *costs, const struct braid_graph *graph, int id) {
  int rows = rows_of(graph, id);
  int64_t bytes = (int64_t)cost_tensor_bytes(costs, graph, id);
  if (bytes <= MESSAGE_BYTES) return rows;
  int64_t fit = (int64_t)MESSAGE_BYTES * rows / bytes;
  return fit < 1 ? 1 : (int)fit;
}

int64_t cost_message_ns(const struct braid_link_cost *link, size_t bytes) {
  return link->message_ns + (int64_t)ceil(8e9 * (double)bytes / link->bits_per_s);
}

int64_t cost_send_ns(const struct braid_costs *costs, const struct braid_graph *graph,
                     const struct braid_link_cost *link, int id, struct braid_band band) {
  int step = cost_message_rows(costs, graph, id);
  int64_t ns = 0;
  for (int row = band.begin; row < band.end; row += step) {
    struct braid_band message = {row, band.end - row > step ? row + step : band.end};
    ns += cost_message_ns(link, cost_band_bytes(costs, graph, id, message));
  }
  return ns;
}

int64_t cost_send_least_ns(const struct braid_costs *costs, const struct braid_graph *graph,
                           const struct braid_link_cost *link, int id, struct braid_band band) {
  int step = cost_message_rows(costs, graph, id);
  int64_t messages = (band.end - band.begin + (int64_t)step - 1) / step;
  double bytes = (double)cost_band_bytes(costs, graph, id, band);
  return messages * link->message_ns + (int64_t)floor(8e9 * bytes / link->bits_per_s);
}

/* ------------------------------------------------------------------------------------------------- checks */

static enum braid_status check_link(const struct braid_link_cost *link, const char *name) {
  if (!(link->bits_per_s > 0))
    return braid_fail(BRAID_EINVAL, "%s rate %g bit/s: it must be above 0", name, link->bits_per_s);
  if (link->delay_ns < 0 || link->delay_ns > COST_NODE_NS_MAX)
    return braid_fail(BRAID_EINVAL, "%s delay %lld ns is out of range", name, (long long)link->delay_ns);
  if (link->message_ns < 0 || link->message_ns > COST_NODE_NS_MAX)
    return braid_fail(BRAID_EINVAL, "%s cost per message %lld ns is out of range", name, (long long)link->message_ns);
  return BRAID_OK;
}

static enum braid_status check_sites(const struct braid_costs *costs) {
  if (costs->edge_workers < 1 || costs->edge_workers > WORKERS_MAX || costs->cloud_workers < 1 ||
      costs->cloud_workers > WORKERS_MAX)
    return braid_fail(BRAID_EINVAL, "%d edge and %d cloud workers: each must be in 1..%d", costs->edge_workers,
                      costs->cloud_workers, WORKERS_MAX);
  if (costs->edge_task_ns < 0 || costs->edge_task_ns > COST_NODE_NS_MAX || costs->cloud_task_ns < 0 ||
      costs->cloud_task_ns > COST_NODE_NS_MAX)
    return braid_fail(BRAID_EINVAL, "the overhead per task is out of range");
  if (!(costs->cloud_load >= 0 && costs->cloud_load <= 1e6))
    return braid_fail(BRAID_EINVAL, "cloud load %g is not in 0..1e6", costs->cloud_load);
  return BRAID_OK;
}

static enum braid_status check_nodes(const struct braid_costs *costs, const struct braid_graph *graph) {
  double total = 0, load = costs->cloud_load > 0 ? costs->cloud_load : 1;
  for (int v = 0; v < costs->n_nodes; v++) {
    const char *name = braid_graph_node(graph, v)->name;
    int64_t e = costs->edge_ns[v], c = costs->cloud_ns[v];
    int64_t e_slice = slice_ns(costs, BRAID_EDGE, v), c_slice = slice_ns(costs, BRAID_CLOUD, v);
    if (e_slice < 0 || e_slice > COST_NODE_NS_MAX || c_slice < 0 || (double)c_slice > (double)COST_NODE_NS_MAX * load)
      return braid_fail(BRAID_EINVAL, "node %d '%s': the overhead of a slice is out of range", v, name);
    if (e < 0 || e > COST_NODE_NS_MAX || c < 0 || c > COST_NODE_NS_MAX)
      return braid_fail(BRAID_EINVAL, "node %d '%s': %lld ns on the edge, %lld ns in the cloud: out of range", v, name,
                        (long long)e, (long long)c);
    double bytes = (double)cost_tensor_bytes(costs, graph, v), rows = rows_of(graph, v);
    if (bytes > 1e15) return braid_fail(BRAID_EINVAL, "node %d '%s': %g bytes on the wire", v, name, bytes);
    total += (double)e + (double)c * load + rows * (double)(costs->edge_task_ns + costs->cloud_task_ns);
    total += rows * ((double)e_slice + (double)c_slice);
    total += 8e9 * bytes / costs->up.bits_per_s + 8e9 * bytes / costs->down.bits_per_s;
    total += rows * (double)(costs->up.message_ns + costs->down.message_ns);
  }
  if (total > (double)COST_FRAME_NS_MAX)
    return braid_fail(BRAID_EINVAL, "one frame would take %.0f s: times or rates are beyond belief", total / 1e9);
  return BRAID_OK;
}

enum braid_status costs_check(const struct braid_costs *costs, const struct braid_graph *graph) {
  if (costs->n_nodes != braid_graph_size(graph))
    return braid_fail(BRAID_EMISMATCH, "costs for %d nodes, %s has %d", costs->n_nodes, braid_graph_name(graph),
                      braid_graph_size(graph));
  BRAID_TRY(check_sites(costs));
  BRAID_TRY(check_link(&costs->up, "uplink"));
  BRAID_TRY(check_link(&costs->down, "downlink"));
  return check_nodes(costs, graph);
}
