/* SPDX-License-Identifier: Apache-2.0
 * How busy the cloud is, as its edges are told. A session's tasks take run / profile times what the profile says when
 * they run: heat, other processes, memory that others use. Before they run they wait for what other sessions have in
 * the workers: with a share `u` of the workers' time taken by others, work takes 1 / (1 - u) times as long (processor
 * sharing; Kleinrock, Queueing Systems II, 1976). The product is what the edge multiplies the cloud's times by.
 * Its own frames in flight are no load: the edge plans those itself. */
#include "cloud/cloud.h"

#define EVERY_NS INT64_C(100000000)
#define LEAST_PROFILE_NS INT64_C(1000000) /* less work than this says nothing */
#define MOST_BUSY 0.95
#define FORGETS 0.02 /* of what is known, each time that nothing new is: an edge that stays away comes to try again */

struct sums {
  int64_t run_ns, profile_ns;
};

static struct sums sums_of(const struct session *session) {
  struct sums sums = {0, 0};
  for (int i = 0; i < session->n_epochs; i++) {
    const struct stream *stream = session->epoch[i].stream;
    struct braid_program_times times = {.node_ns = NULL};
    if (!stream->program) continue;
    braid_program_times(stream->program, &times);
    sums.run_ns += times.run_ns;
    sums.profile_ns += times.profile_ns;
  }
  return sums;
}

/* Work done since the last look; a plan that has gone meanwhile takes its part with it. */
static int64_t take_work(struct session *session) {
  struct sums now = sums_of(session);
  int64_t run_ns = now.run_ns - session->work.run_ns, profile_ns = now.profile_ns - session->work.profile_ns;
  bool whole = run_ns >= 0 && profile_ns >= 0;
  if (whole && profile_ns < LEAST_PROFILE_NS && profile_ns > 0) return 0; /* gathers until it says something */
  session->work.run_ns = now.run_ns;
  session->work.profile_ns = now.profile_ns;
  if (!whole) return 0;
  if (profile_ns > 0) session->work.stretch = (double)run_ns / (double)profile_ns;
  return run_ns;
}

static void look_around(struct braid_cloud *cloud, int64_t now_ns) {
  double had_ns = (double)(now_ns - cloud->load.at_ns) * cloud->threads;
  cloud->load.at_ns = now_ns;
  for (struct session *s = cloud->sessions; s; s = s->next) {
    int64_t run_ns = take_work(s);
    s->busy = (double)run_ns / had_ns;
    if (run_ns == 0 && s->work.stretch > 0) s->work.stretch += (1 - s->work.stretch) * FORGETS;
  }
  cloud->load.busy = 0;
  for (const struct session *s = cloud->sessions; s; s = s->next) cloud->load.busy += s->busy;
}

void session_note_load(struct session *session, int64_t now_ns) {
  struct braid_cloud *cloud = session->cloud;
  if (now_ns - cloud->load.at_ns >= EVERY_NS) look_around(cloud, now_ns);
  double others = cloud->load.busy - session->busy, stretch = session->work.stretch > 0 ? session->work.stretch : 1;
  if (others < 0) others = 0;
  if (others > MOST_BUSY) others = MOST_BUSY;
  session->channel.load = stretch / (1 - others);
  session->channel.busy = cloud->load.busy;
}
