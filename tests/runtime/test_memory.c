/* SPDX-License-Identifier: Apache-2.0
 * Task graphs and memory plans: what the checks say of every plan we make, what they say of broken ones, and what the
 * plans are supposed to save. */
#include <criterion/criterion.h>
#include <string.h>

#include "exec/memory.h"
#include "exec/offsets.h"
#include "exec/order.h"
#include "exec_help.h"
#include "graph_help.h"
#include "random_graph.h"

struct planned {
  struct exec_tasks *tasks;
  struct exec_memory *memory;
  uint32_t *in_place;
  struct exec_memory_opts opts;
};

/* Plans as program.c does; which kernels may work in place does not matter here: all elementwise operators may. */
static void make_planned(const struct braid_graph *graph, const struct braid_plan *plan, enum braid_site here,
                         bool chain, struct planned *p) {
  int n = braid_graph_size(graph);
  int *slices = calloc((size_t)n, sizeof *slices);
  p->in_place = calloc((size_t)n, sizeof *p->in_place);
  for (int id = 0; id < n; id++) {
    enum braid_op op = braid_graph_node(graph, id)->op;
    p->in_place[id] = (op >= BRAID_OP_ADD && op <= BRAID_OP_DIV ? 3 : 0) | (op == BRAID_OP_CONV ? 1u << 3 : 0);
    p->in_place[id] |= (op >= BRAID_OP_RELU && op <= BRAID_OP_ABS && op != BRAID_OP_PRELU) ||
                      (op >= BRAID_OP_ADD && op <= BRAID_OP_MEAN);
    slices[id] = plan ? plan->slices[id] : 1;
  }
  struct exec_tasks_opts opts = {.plan = plan, .here = here, .n_slices = slices, .chain = chain};
  must(exec_tasks_create(graph, &opts, &p->tasks));
  p->opts = (struct exec_memory_opts){graph, p->tasks, p->in_place};
  must(exec_memory_create(&p->opts, &p->memory));
  free(slices);
}

static void free_planned(struct planned *p) {
  exec_tasks_destroy(&p->tasks);
  exec_memory_destroy(&p->memory);
  free(p->in_place);
}

static bool is_here(const struct planned *p, int id) {
  return p->tasks->role[id].computed || p->tasks->role[id].received;
}

/* Puts an operand of some kernel where the kernel's output is, which the kernel cannot do: the check must see it. */
static bool breaks(struct planned *p) {
  for (int id = 0; id < p->tasks->n_nodes; id++) {
    const struct braid_node *node = braid_graph_node(p->opts.graph, id);
    if (!p->tasks->role[id].computed || p->memory->view[id] || p->in_place[id] || node->bytes == 0) continue;
    for (int k = 0; k < node->n_in; k++) {
      int from = node->in[k];
      if (!braid_is_node(from) || (p->tasks->role[from].computed && p->memory->view[from])) continue;
      size_t saved = p->memory->offset[from];
      if (p->memory->offset[id] + braid_graph_node(p->opts.graph, from)->bytes > p->memory->arena_bytes) continue;
      p->memory->offset[from] = p->memory->offset[id];
      enum braid_status status = exec_memory_check(&p->opts, p->memory);
      p->memory->offset[from] = saved;
      cr_assert_neq(status, BRAID_OK, "%s over %s was not seen", node->name,
                    braid_graph_node(p->opts.graph, from)->name);
      return true;
    }
  }
  return false;
}

Test(memory, every_plan_is_safe_and_broken_ones_are_seen) {
  uint64_t first = random_graph_seed(500);
  int broken = 0;
  for (uint64_t seed = first; seed < first + 300; seed++) {
    struct dice dice = {seed, 0};
    struct braid_graph *graph = random_graph(seed, 5 + roll(&dice, 40), (unsigned)seed % RANDOM_GRAPH_FLAGS);
    must(braid_graph_seal(graph, roll(&dice, 2) ? BRAID_PASS_ALL : 0));
    enum split split = (enum split)roll(&dice, 3);
    struct braid_plan *plan = roll(&dice, 4) ? random_plan(graph, &dice, split) : NULL;
    struct planned p;
    make_planned(graph, plan, roll(&dice, 2) ? BRAID_EDGE : BRAID_CLOUD, roll(&dice, 2), &p);
    must(exec_tasks_check(p.tasks, graph));
    cr_assert_eq(exec_memory_check(&p.opts, p.memory), BRAID_OK, "seed %llu: %s", (unsigned long long)seed,
                 braid_error());
    cr_assert_leq(p.memory->bound_bytes, p.memory->arena_bytes);
    size_t sum = 0;
    for (int id = 0; id < p.tasks->n_nodes; id++)
      if (is_here(&p, id)) sum += (braid_graph_node(graph, id)->bytes + 63) / 64 * 64;
    cr_assert_leq(p.memory->arena_bytes, sum);
    broken += breaks(&p);
    free_planned(&p);
    braid_plan_destroy(&plan);
    braid_graph_destroy(&graph);
  }
  cr_assert_gt(broken, 150);
}

/* x -> (a, b, relu of a) -> Concat -> Concat with c: everything is written straight into the last tensor. */
Test(memory, concats_of_concats_share_one_tensor) {
  struct braid_graph *graph = new_graph("dense");
  int x = input(graph, "x", shape4(1, 3, 8, 8));
  int a = conv(graph, x, 5, 3, "a"), b = conv(graph, x, 7, 1, "b");
  int ab = add_op(graph, BRAID_OP_CONCAT, &(union braid_attrs){.axis = {1, 0}}, (int[]){a, b}, 2, "ab");
  int c = conv(graph, ab, 2, 3, "c");
  int abc = add_op(graph, BRAID_OP_CONCAT, &(union braid_attrs){.axis = {1, 0}}, (int[]){ab, c}, 2, "abc");
  must(braid_graph_add_output(graph, conv(graph, abc, 1, 1, "out")));
  seal_with(graph, 0);
  struct planned p;
  make_planned(graph, NULL, BRAID_EDGE, false, &p);
  size_t plane = 8 * 8 * 4, at = p.memory->offset[braid_graph_find(graph, "abc")];
  cr_assert_eq(p.memory->offset[braid_graph_find(graph, "a")], at);
  cr_assert_eq(p.memory->offset[braid_graph_find(graph, "ab")], at);
  cr_assert_eq(p.memory->offset[braid_graph_find(graph, "b")], at + 5 * plane);
  cr_assert_eq(p.memory->offset[braid_graph_find(graph, "c")], at + 12 * plane);
  cr_assert(p.memory->view[braid_graph_find(graph, "ab")] && p.memory->view[braid_graph_find(graph, "abc")]);
  /* the joined tensor, and one plane in the place of x, which is over by then, or behind */
  cr_assert_leq(p.memory->arena_bytes, (14 + 3 + 1) * plane);
  free_planned(&p);
  braid_graph_destroy(&graph);
}

Test(memory, chains_of_elementwise_nodes_stay_in_place) {
  struct braid_graph *graph = new_graph("chain");
  int x = conv(graph, input(graph, "x", shape4(1, 4, 16, 16)), 4, 3, "a");
  for (int i = 0; i < 5; i++) x = unary(graph, BRAID_OP_TANH, x, NULL);
  must(braid_graph_add_output(graph, x));
  seal_with(graph, 0);
  struct braid_plan *plan;
  must(braid_plan_create(graph, "test", &plan));
  for (int id = 1; id < plan->n_nodes; id++) plan->slices[id] = 16;
  struct planned p;
  make_planned(graph, plan, BRAID_EDGE, false, &p);
  must(exec_memory_check(&p.opts, p.memory));
  for (int id = 2; id < plan->n_nodes; id++) cr_assert_eq(p.memory->offset[id], p.memory->offset[1], "node %d", id);
  free_planned(&p);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&graph);
}

/* A chain of convolutions needs two buffers however long it is, with one worker or with several. */
Test(memory, a_chain_needs_two_buffers) {
  struct braid_graph *graph = new_graph("chain");
  int x = input(graph, "x", shape4(1, 4, 16, 16));
  for (int i = 0; i < 10; i++) x = conv(graph, x, 4, 3, NULL);
  must(braid_graph_add_output(graph, x));
  seal_with(graph, 0);
  for (int chain = 0; chain < 2; chain++) {
    struct planned p;
    make_planned(graph, NULL, BRAID_EDGE, chain, &p);
    cr_assert_eq(p.memory->arena_bytes, 2 * 4 * 16 * 16 * 4);
    cr_assert_eq(p.memory->bound_bytes, 2 * 4 * 16 * 16 * 4);
    free_planned(&p);
  }
  braid_graph_destroy(&graph);
}

/* Four branches of three nodes: one worker needs one branch's buffers at a time, several workers need all at once. */
Test(memory, one_worker_needs_less_than_many) {
  struct braid_graph *graph = new_graph("fork");
  int x = input(graph, "x", shape4(1, 2, 8, 8)), end[4];
  for (int b = 0; b < 4; b++) end[b] = conv(graph, conv(graph, conv(graph, x, 8, 1, NULL), 8, 1, NULL), 1, 1, NULL);
  must(braid_graph_add_output(graph, add_op(graph, BRAID_OP_SUM, NULL, end, 4, "sum")));
  seal_with(graph, 0);
  struct planned one, many;
  make_planned(graph, NULL, BRAID_EDGE, true, &one);
  make_planned(graph, NULL, BRAID_EDGE, false, &many);
  must(exec_memory_check(&one.opts, one.memory));
  cr_assert_lt(one.memory->arena_bytes, many.memory->arena_bytes);
  cr_assert_neq(exec_memory_check(&many.opts, one.memory), BRAID_OK, "unsafe without the chain");
  free_planned(&one);
  free_planned(&many);
  braid_graph_destroy(&graph);
}

/* Rows that no task waits for may arrive at any time: their memory is nobody else's. */
Test(memory, rows_that_nobody_reads_keep_their_place) {
  struct braid_graph *graph = new_graph("stride");
  int x = input(graph, "x", shape4(1, 8, 8, 8));
  union braid_attrs pool = {.pool = {.kernel = {1, 1}, .stride = {2, 2}, .dilation = {1, 1}}};
  int y = add_op(graph, BRAID_OP_MAX_POOL, &pool, &x, 1, "pool");
  for (int i = 0; i < 6; i++) y = conv(graph, y, 8, 3, NULL);
  must(braid_graph_add_output(graph, y));
  seal_with(graph, 0);
  struct planned p;
  make_planned(graph, NULL, BRAID_EDGE, false, &p);
  must(exec_memory_check(&p.opts, p.memory));
  cr_assert_eq(p.tasks->waiter[0].rows.end, 7, "row 7 is read by nobody");
  size_t begin = p.memory->offset[0], end = begin + braid_graph_node(graph, 0)->bytes;
  for (int id = 1; id < p.tasks->n_nodes; id++)
    cr_assert(p.memory->offset[id] >= end || p.memory->offset[id] + braid_graph_node(graph, id)->bytes <= begin,
              "node %d shares memory with rows that may still come", id);
  free_planned(&p);
  braid_graph_destroy(&graph);
}

/* y = conv(relu(conv(x))) + x: the sum lies where x was, which only the first convolution has to have read by then. */
Test(memory, a_residual_is_overwritten_by_its_sum) {
  struct braid_graph *graph = new_graph("residual");
  int x = conv(graph, input(graph, "in", shape4(1, 3, 16, 16)), 8, 3, "x");
  int a = conv(graph, x, 8, 3, "a"), b = conv(graph, a, 8, 3, "b");
  int y = add_op(graph, BRAID_OP_ADD, NULL, (int[]){b, x}, 2, "y");
  must(braid_graph_add_output(graph, conv(graph, y, 1, 1, "out")));
  seal_with(graph, BRAID_PASS_ALL);
  int sum = braid_graph_find(graph, "y");
  cr_assert_eq(braid_graph_node(graph, sum)->op, BRAID_OP_CONV);
  for (int over = 0; over < 2; over++) { /* a kernel that can, and one that cannot */
    struct planned p;
    make_planned(graph, NULL, BRAID_EDGE, false, &p);
    p.in_place[sum] = over ? 1u << 3 : 0;
    exec_memory_destroy(&p.memory);
    must(exec_memory_create(&p.opts, &p.memory));
    must(exec_memory_check(&p.opts, p.memory));
    cr_expect_eq(p.memory->offset[sum] == p.memory->offset[braid_graph_find(graph, "x")], over);
    cr_expect_eq(p.memory->arena_bytes, (size_t)(over ? 2 : 3) * 8 * 16 * 16 * 4);
    free_planned(&p);
  }
  braid_graph_destroy(&graph);
}

/* The same of a convolution that reads its residual by windows, too: it may not write over it. */
Test(memory, what_is_read_by_windows_is_not_overwritten) {
  struct braid_graph *graph = new_graph("twice");
  int x = conv(graph, input(graph, "in", shape4(1, 3, 16, 16)), 8, 3, "x");
  int y = add_op(graph, BRAID_OP_ADD, NULL, (int[]){conv(graph, x, 8, 3, "a"), x}, 2, "y");
  must(braid_graph_add_output(graph, conv(graph, y, 1, 1, "out")));
  seal_with(graph, BRAID_PASS_ALL);
  int sum = braid_graph_find(graph, "y");
  struct planned p;
  make_planned(graph, NULL, BRAID_EDGE, true, &p);
  p.in_place[sum] = 1u << 3;
  exec_memory_destroy(&p.memory);
  must(exec_memory_create(&p.opts, &p.memory));
  must(exec_memory_check(&p.opts, p.memory));
  p.memory->offset[sum] = p.memory->offset[braid_graph_find(graph, "x")];
  cr_expect_neq(exec_memory_check(&p.opts, p.memory), BRAID_OK);
  free_planned(&p);
  braid_graph_destroy(&graph);
}

/* ------------------------------------------------------------------------------------- offsets and bounds */

/* Buffers that tasks 0..n_tasks-1 of a random partial order begin and end. */
static struct exec_buffers *random_buffers(struct dice *dice, int n) {
  struct exec_buffers *buffers;
  must(exec_buffers_create(n, &buffers));
  for (int i = 0; i < n; i++) {
    buffers->bytes[i] = (size_t)(1 + roll(dice, 40)) * (roll(dice, 3) ? 64 : 1000);
    for (int j = 0; j < i; j++)
      if (roll(dice, 4) == 0) exec_buffers_order(buffers, j, i);
  }
  for (int via = 0; via < n; via++) /* transitive */
    for (int i = 0; i < n; i++)
      for (int j = 0; j < n; j++)
        if (exec_set_has(buffers->before + (size_t)i * buffers->words, via) &&
            exec_set_has(buffers->before + (size_t)via * buffers->words, j))
          exec_buffers_order(buffers, i, j);
  return buffers;
}

static bool ordered(const struct exec_buffers *b, int i, int j) {
  return exec_set_has(b->before + (size_t)i * b->words, j) || exec_set_has(b->before + (size_t)j * b->words, i);
}

static size_t bound_by_trying(const struct exec_buffers *b) {
  size_t best = 0;
  for (unsigned set = 0; set < 1u << b->n; set++) {
    size_t bytes = 0;
    bool together = true;
    for (int i = 0; i < b->n; i++)
      for (int j = 0; set >> i & 1 && j < i; j++) together &= !(set >> j & 1 && ordered(b, i, j));
    for (int i = 0; i < b->n; i++) bytes += set >> i & 1 ? b->bytes[i] : 0;
    if (together && bytes > best) best = bytes;
  }
  return best;
}

Test(memory, the_bound_is_the_heaviest_set_that_can_be_live) {
  uint64_t first = random_graph_seed(1200);
  for (uint64_t seed = first; seed < first + 300; seed++) {
    struct dice dice = {seed, 0};
    struct exec_buffers *buffers = random_buffers(&dice, roll(&dice, 13));
    size_t bytes;
    must(exec_buffers_bound(buffers, &bytes));
    cr_assert_eq(bytes, bound_by_trying(buffers), "seed %llu", (unsigned long long)seed);
    exec_buffers_destroy(&buffers);
  }
}

Test(memory, buffers_that_may_be_live_at_once_lie_apart) {
  uint64_t first = random_graph_seed(1600);
  double over = 0;
  for (uint64_t seed = first; seed < first + 60; seed++) {
    struct dice dice = {seed, 0};
    struct exec_buffers *b = random_buffers(&dice, 70 + roll(&dice, 30));
    size_t offset[100], arena, bound;
    must(exec_buffers_bound(b, &bound));
    must(exec_buffers_place(b, bound, offset, &arena));
    for (int i = 0; i < b->n; i++) {
      cr_assert_eq(offset[i] % EXEC_ALIGNMENT, 0);
      cr_assert_leq(offset[i] + b->bytes[i], arena);
      for (int j = 0; j < i; j++)
        cr_assert(ordered(b, i, j) || offset[i] + b->bytes[i] <= offset[j] || offset[j] + b->bytes[j] <= offset[i],
                  "seed %llu: %d and %d", (unsigned long long)seed, i, j);
    }
    over += (double)arena / (double)bound;
    exec_buffers_destroy(&b);
  }
  cr_expect_leq(over / 60, 1.05, "on the average %.3f times the bound", over / 60);
}

Test(memory, ancestors_are_what_the_definition_says) {
  uint64_t first = random_graph_seed(900);
  for (uint64_t seed = first; seed < first + 10; seed++) {
    struct dice dice = {seed, 0};
    struct braid_graph *graph = random_graph(seed, 12, 0);
    must(braid_graph_seal(graph, 0));
    struct braid_plan *plan = random_plan(graph, &dice, SPLIT_NONE);
    struct planned p;
    make_planned(graph, plan, BRAID_EDGE, false, &p);
    struct exec_order *order;
    must(exec_order_create(p.tasks, &order));
    for (int i = 0; i < p.tasks->n_tasks; i++) {
      bool *before = calloc((size_t)p.tasks->n_tasks + 1, sizeof *before);
      before[i] = true;
      for (int j = i; j >= 0; j--) /* numbers are a topological order: one sweep back marks them all */
        for (int e = 0; before[j] && e < p.tasks->task[j].n_prev; e++)
          before[p.tasks->prev[p.tasks->task[j].first_prev + e]] = true;
      for (int j = 0; j < p.tasks->n_tasks; j++)
        if (j != i) cr_assert_eq(exec_set_has(order->before + (size_t)i * order->words, j), before[j]);
      free(before);
    }
    exec_order_destroy(&order);
    free_planned(&p);
    braid_plan_destroy(&plan);
    braid_graph_destroy(&graph);
  }
}
