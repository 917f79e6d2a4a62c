/* SPDX-License-Identifier: Apache-2.0
 * A search over which option every branch takes and in which order, as its parts see it: decc_search.c runs it,
 * decc_levels.c goes from level to level, decc_bound.c says what a state can become at best, decc_improve.c moves a way
 * that was found within limits. */
#ifndef SCHEDULER_POLICIES_DECC_SEARCH_H
#define SCHEDULER_POLICIES_DECC_SEARCH_H

#include "decc.h"

#define DECC_PRICE_UNIT 1024 /* what the prices of all machines come to */

/* States with equally many branches placed. */
struct decc_level {
  int n, room;
  struct decc_state *state;
};

struct decc_search {
  const struct decc_net *net;
  const struct decc_fork *fork;
  const struct decc_block *block; /* NULL: a nested fork */
  int columns, most;              /* states of a level */
  bool exact;
  int64_t cutoff_ns;                           /* nothing that promises more is kept */
  int twin[DECC_BRANCHES_MAX];                 /* an equal branch with a smaller number that goes first; -1 */
  int64_t least[DECC_BRANCHES_MAX][DECC_FROM]; /* of each machine's time over the branch's options */
  int64_t price[DECC_FROM];                    /* of a machine's time, DECC_PRICE_UNIT in all; see decc_promise() */
  int64_t cheapest[DECC_BRANCHES_MAX];         /* least price of a branch */
  uint32_t readers;                            /* branches with options that read the entry */
  struct decc_level level[DECC_BRANCHES_MAX + 1];
};

/* `block` NULL: a nested fork. Allocates nothing. */
struct decc_search decc_search_open(const struct decc_net *net, const struct decc_fork *fork,
                                    const struct decc_block *block);
/* Frees what the levels hold. */
void decc_search_close(struct decc_search *s);

/* ---------------------------------------------------------------------------------------------- one step */

/* `from` with one more branch, by one of its options; false where the memory is too small. */
bool decc_extend(const struct decc_search *s, const struct decc_state *from, int branch, int option, bool entry_first,
                 struct decc_state *to);
/* Is there a reason to send the entry before a branch that reads it or not, or must it be? */
bool decc_may_send(const struct decc_search *s, const struct decc_state *t, bool reads, bool send);

/* ------------------------------------------------------------------------------------------------- bounds */

/* The prices that give the highest bound for `start`: s->price and s->cheapest. */
void decc_find_prices(struct decc_search *s, const struct decc_state *start);
/* Lower bound of what the state can become; its makespan when it is complete. Of a job in the making: what it takes by
 * itself, which is no bound, just an order. */
int64_t decc_promise(const struct decc_search *s, const struct decc_state *t);

/* -------------------------------------------------------------------------------------------------- levels */

/* From `start` to the last level with at most `most` states a level. s->exact: none was given up. */
BRAID_NODISCARD enum braid_status decc_run_levels(struct decc_search *s, const struct decc_state *start, int most);
/* All branches placed; promises are makespans, ascending. */
const struct decc_level *decc_last_level(const struct decc_search *s);
/* The way to state i of the last level. */
void decc_trace_back(const struct decc_search *s, int i, struct decc_way *way);

/* ----------------------------------------------------------------------------------------------- improving */

/* Other options one by one, other places, and the best order, while it helps and as long as the budget lasts. */
void decc_improve(const struct decc_search *s, struct decc_way *way, int64_t *ns);

#endif
