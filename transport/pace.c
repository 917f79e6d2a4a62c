/* SPDX-License-Identifier: Apache-2.0
 * How fast a link delivers right now, from what is sent and acknowledged anyway.
 *
 * The window wants a rate that a lull does not make smaller (estimator.c: a maximum over seconds). Who chooses a plan
 * wants the opposite: what the link has just done, a fall as soon as it is felt, and nothing that the sender's own
 * leisure could be mistaken for. So here only the time counts during which the link was busy. It carries one message
 * after the other: a message that was acknowledged at a reached the far end at a - round trip, and has been on the wire
 * since it was sent, or since the one before had left it, whichever is later. Bytes over busy time is the rate, whoever
 * was idle in between.
 *
 * The first message after a lull has the round trip's jitter in its time: it counts when that is small beside what it
 * took, else only if it shows a link faster than was thought. A message without an answer for much longer than it
 * should take says how slow the link is at best. */
#include "braid/transport.h"

#include <string.h>

#define SAMPLE_NS INT64_C(100000000) /* a burst that lasts longer tells more than once */
#define JITTER_NS INT64_C(5000000)
#define STALL_NS INT64_C(50000000) /* a busy machine answers that late at times; a small message says nothing then */
#define OVERDUE_NS INT64_C(50000000)
enum { BURST_BYTES = 16 << 10 }; /* a burst must have so many to tell, or take a sample's time */

void braid_pace_init(struct braid_pace *p) {
  memset(p, 0, sizeof *p);
}

/* With a full ring the newest messages become one: their time is that of the first. */
void braid_pace_sent(struct braid_pace *p, size_t bytes, int64_t now_ns) {
  p->sent_bytes += bytes;
  if (p->count == BRAID_PACE_MESSAGES) {
    p->message[(p->first + p->count - 1) % BRAID_PACE_MESSAGES].end = p->sent_bytes;
    return;
  }
  int at = (p->first + p->count++) % BRAID_PACE_MESSAGES;
  p->message[at].end = p->sent_bytes;
  p->message[at].sent_ns = now_ns;
}

static void forget_sums(struct braid_pace *p) {
  p->busy_ns = 0;
  p->busy_bytes = 0;
}

static void tell(struct braid_pace *p) {
  p->bits_per_s = 8e9 * (double)p->busy_bytes / (double)(p->busy_ns > 0 ? p->busy_ns : 1);
  p->n_samples++;
  forget_sums(p);
}

/* Takes what has been acknowledged out of the ring; when the first of it went on the wire. */
static int64_t take_acked(struct braid_pace *p, size_t bytes, bool *queued) {
  const int64_t sent_ns = p->message[p->first].sent_ns;
  p->acked_bytes += bytes;
  while (p->count > 0 && p->message[p->first].end <= p->acked_bytes) {
    p->first = (p->first + 1) % BRAID_PACE_MESSAGES;
    p->count--;
  }
  *queued = sent_ns <= p->free_ns;
  return *queued ? p->free_ns : sent_ns;
}

void braid_pace_acked(struct braid_pace *p, size_t bytes, int64_t rtt_ns, int64_t now_ns, bool held) {
  if (p->count == 0 || bytes == 0) return;
  bool queued;
  int64_t begin_ns = take_acked(p, bytes, &queued), end_ns = now_ns - rtt_ns;
  int64_t busy_ns = end_ns > begin_ns ? end_ns - begin_ns : 0;
  p->free_ns = end_ns > p->free_ns ? end_ns : p->free_ns;
  if (held) { /* the receiver's leisure is not the link's */
    forget_sums(p);
    return;
  }
  if (!queued && busy_ns < rtt_ns / 4 + (bytes >= BURST_BYTES ? JITTER_NS : STALL_NS)) {
    bool faster = busy_ns > 0 && bytes >= BURST_BYTES && 8e9 * (double)bytes / (double)busy_ns > p->bits_per_s;
    if (!faster) return;
  }
  p->busy_ns += busy_ns;
  p->busy_bytes += bytes;
  if (p->busy_bytes >= BURST_BYTES ? p->count == 0 || p->busy_ns >= SAMPLE_NS : p->busy_ns >= SAMPLE_NS)
    tell(p);
  else if (p->count == 0) /* a burst too small to tell the link from the machines at its ends */
    forget_sums(p);
}

double braid_pace_overdue(const struct braid_pace *p, int64_t rtt_ns, int64_t now_ns) {
  if (p->count == 0) return 0;
  const uint64_t end = p->message[p->first].end;
  double bits = 8 * (double)(end - p->acked_bytes);
  int64_t sent_ns = p->message[p->first].sent_ns, begin_ns = sent_ns > p->free_ns ? sent_ns : p->free_ns;
  double waited_ns = (double)(now_ns - rtt_ns - begin_ns);
  double due_ns = p->bits_per_s > 0 ? 1e9 * bits / p->bits_per_s : 0;
  return waited_ns > 2 * due_ns + OVERDUE_NS ? 1e9 * bits / waited_ns : 0;
}
