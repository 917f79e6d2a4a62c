/* SPDX-License-Identifier: Apache-2.0
 * Fair shares of the workers: start-time fair queueing (Goyal, Vin, Cheng: Start-Time Fair Queueing, SIGCOMM 1996) over
 * sessions. A frame begins, in virtual time, when its session's last frame is over or now, whichever is later, and
 * takes the work that frames of its plan have taken so far; the pool runs the frame that began first. So an edge with
 * many frames in flight, or with a large network, gets no more of the workers than one that sends a small frame now and
 * then, and what nobody else wants anybody may have. Virtual time is the latest beginning of all frames that are over.
 *
 * A limit on a session's rate is a leaky bucket (GCRA, ITU-T I.371): frames that come too early wait, with their
 * credit, so that the edge is slowed down and nothing is lost. */
#include "cloud/cloud.h"

#define UNKNOWN_WORK_NS 1000000 /* until a frame of the plan has ended */
#define BURST 4                 /* frames that may come at once */

static uint64_t work_of(const struct session_epoch *e) {
  struct braid_program_times times = {.node_ns = NULL};
  if (!e->stream->program) return 1;
  if (e->n_ended == 0) return UNKNOWN_WORK_NS;
  braid_program_times(e->stream->program, &times);
  return times.run_ns > 0 ? (uint64_t)times.run_ns / e->n_ended + 1 : 1;
}

uint64_t share_begin(struct session *session, struct session_epoch *e) {
  const struct braid_cloud *cloud = session->cloud;
  uint64_t order = session->finish_ns > cloud->virtual_ns ? session->finish_ns : cloud->virtual_ns;
  session->finish_ns = order + work_of(e);
  return order;
}

void share_end(struct session *session, struct session_epoch *e, uint64_t order) {
  e->n_ended++;
  if (order > session->cloud->virtual_ns) session->cloud->virtual_ns = order;
}

static int64_t interval_ns(const struct session *session) {
  double rate = session->cloud->opts.max_frames_per_s;
  return rate > 0 ? (int64_t)(1e9 / rate) : 0;
}

int64_t share_wait_ns(const struct session *session, int64_t now_ns) {
  int64_t wait_ns = session->may_begin_ns - (BURST - 1) * interval_ns(session) - now_ns;
  return wait_ns > 0 ? wait_ns : 0;
}

bool share_admits(struct session *session, int64_t now_ns) {
  if (interval_ns(session) == 0) return true;
  if (share_wait_ns(session, now_ns) > 0) return false;
  if (session->may_begin_ns < now_ns) session->may_begin_ns = now_ns;
  session->may_begin_ns += interval_ns(session);
  return true;
}
