/* SPDX-License-Identifier: Apache-2.0
 * The parts of decc: what a branch can be cut into, and in which order branches go through edge, link and cloud. */
#ifndef SCHEDULER_POLICIES_DECC_H
#define SCHEDULER_POLICIES_DECC_H

#include "../internal.h"

/* One way of dividing a branch: times of its parts on each resource. */
struct decc_option {
  int64_t edge, up, cloud, down;
  size_t memory;
  bool reads_entry; /* some of its cloud part reads the block's entry */
  uint8_t *site;    /* [nodes of the branch] */
};
struct decc_branch {
  const struct braid_branch *branch;
  int n, room;
  struct decc_option *option;
};
/* A block with everything around it put where DECC puts it: what comes before on the edge, what follows in the cloud.
 */
struct decc_block {
  const struct stages *st;
  const struct braid_block *block;
  const int64_t *time[2]; /* by site: per frame alone (latency) or work (throughput) */
  uint8_t *site;          /* [n] before: edge; after: cloud; the block's own nodes: scratch */
  uint8_t *part;          /* [n] enum decc_part */
  int64_t edge_before, cloud_after, down_after, entry_up;
  size_t memory_before;
  bool exit_reads_entry;
  int n_branches;
  struct decc_branch *branch;
};
enum decc_part { DECC_BEFORE, DECC_INSIDE, DECC_AFTER };

BRAID_NODISCARD enum braid_status decc_block_create(const struct stages *st, const struct braid_block *block,
                                                    struct decc_block **out);
void decc_block_destroy(struct decc_block **block);
/* Drops options that another one beats on every resource, and thins long lists. */
void decc_prune(struct decc_block *block);

/* A choice of option and place in the order for every branch. */
struct decc_choice {
  int order[32];  /* branch numbers */
  int option[32]; /* by branch number */
};
#define DECC_BRANCHES_MAX 32

/* Calls `found` with complete choices and their makespan (latency) or period in the three-stage model, best first, at
 * most `most` of them. */
BRAID_NODISCARD enum braid_status decc_search(const struct decc_block *block, int most,
                                              void (*found)(void *ctx, const struct decc_choice *choice, int64_t ns),
                                              void *ctx);
/* Number of (options x orders), or `limit` if there are more. */
int64_t decc_count(const struct decc_block *block, int64_t limit);
/* Every one of them. */
void decc_enumerate(const struct decc_block *block,
                    void (*found)(void *ctx, const struct decc_choice *choice, int64_t ns), void *ctx);
/* Writes the choice into site[] and rank[] (depth first: one branch after the other). */
void decc_apply(const struct decc_block *block, const struct decc_choice *choice, uint8_t *site, int *rank);

#endif
