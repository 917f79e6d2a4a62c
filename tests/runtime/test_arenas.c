/* SPDX-License-Identifier: Apache-2.0
 * Arenas kept between programs: a plan that comes takes those of one that has gone, however dirty they are, a thousand
 * times without anything new; what is kept is bounded, and goes with the programs. */
#include <criterion/criterion.h>
#include <string.h>

#include "exec/arenas.h"
#include "exec_help.h"
#include "graph_help.h"

enum { WORKERS = 2, WINDOW = 3, WARM = 5, CHANGES = 1000, KIB = 1024 };

struct scene {
  struct braid_graph *graph;
  struct braid_pool *pool;
  struct braid_arenas *arenas;
};

static struct scene scene_open(void) {
  struct scene s = {.graph = new_graph("net")};
  int x = input(s.graph, "x", shape4(1, 4, 16, 16));
  must(braid_graph_add_output(s.graph, conv(s.graph, conv(s.graph, x, 16, 3, "a"), 8, 3, "b")));
  seal_with(s.graph, 0);
  s.pool = make_pool(WORKERS);
  must(braid_arenas_create(s.pool, &s.arenas));
  return s;
}

static void scene_close(struct scene *s) {
  braid_arenas_destroy(&s->arenas);
  cr_assert_eq(braid_pool_arena_bytes(s->pool), 0, "somebody still has %zu bytes", braid_pool_arena_bytes(s->pool));
  braid_pool_destroy(&s->pool);
  braid_graph_destroy(&s->graph);
}

static struct braid_program *compile(const struct scene *s, int frames) {
  struct braid_program *program;
  struct braid_program_opts opts = {.frames = frames, .cpu_flags = braid_cpu_flags(), .arenas = s->arenas};
  must(braid_program_create(s->pool, s->graph, NULL, &opts, &program));
  return program;
}

static struct braid_arenas_info info_of(const struct scene *s) {
  struct braid_arenas_info info;
  braid_arenas_info(s->arenas, &info);
  cr_assert_leq(info.idle_bytes, info.used_bytes, "more is kept than used");
  cr_assert_eq(info.idle_bytes + info.used_bytes, braid_pool_arena_bytes(s->pool));
  return info;
}

/* As the edge does: a new plan is compiled, then the one that was warm for longest goes. */
Test(arenas, a_thousand_plans_make_no_more_than_the_first_few) {
  struct scene s = scene_open();
  struct braid_program *warm[WARM];
  for (int i = 0; i < WARM; i++) warm[i] = compile(&s, WINDOW);
  uint64_t few = info_of(&s).made;
  size_t bytes = braid_pool_arena_bytes(s.pool);
  cr_assert_geq(few, WARM * WINDOW);
  for (int i = 0; i < CHANGES; i++) {
    struct braid_program *next = compile(&s, WINDOW);
    cr_assert_eq(info_of(&s).idle_bytes, 0);
    braid_program_destroy(&warm[i % WARM]);
    warm[i % WARM] = next;
  }
  struct braid_arenas_info info = info_of(&s);
  cr_assert_eq(info.made, few + few / WARM, "%d changes made %d blocks", CHANGES, (int)(info.made - few));
  cr_assert_eq(info.used_bytes, bytes, "memory is not flat");
  cr_assert_eq(info.idle_bytes, bytes / WARM);
  for (int i = 0; i < WARM; i++) braid_program_destroy(&warm[i]);
  cr_assert_eq(braid_pool_arena_bytes(s.pool), 0, "nothing is kept when nothing is used");
  scene_close(&s);
}

Test(arenas, what_was_left_in_them_does_not_matter) {
  struct scene s = scene_open();
  struct io want, got;
  io_make(s.graph, 7, &want);
  io_make(s.graph, 7, &got);
  struct braid_program *other = compile(&s, WINDOW), *program = compile(&s, 1);
  must(braid_program_run(program, want.in, want.n_in, want.out, want.n_out));
  struct braid_program_info size;
  braid_program_info(program, &size);
  struct exec_block *block[WINDOW];
  for (int i = 0; i < WINDOW; i++) {
    must(exec_arenas_take(s.arenas, size.arena_bytes, &block[i]));
    memset(block[i]->data, 0xff, block[i]->bytes); /* NaN, wherever something is read that nobody wrote */
  }
  braid_program_destroy(&program);
  for (int i = 0; i < WINDOW; i++) exec_arenas_give(s.arenas, block[i]);
  uint64_t made = info_of(&s).made;
  program = compile(&s, 1);
  cr_assert_eq(info_of(&s).made, made, "an arena that nobody has used");
  must(braid_program_run(program, got.in, got.n_in, got.out, got.n_out));
  cr_assert_eq(io_difference(&want, &got), -1);
  braid_program_destroy(&program);
  braid_program_destroy(&other);
  io_free(&want);
  io_free(&got);
  scene_close(&s);
}

/* Where the input of a program's next frame lies. */
static const void *first_input(struct braid_program *program) {
  static const struct braid_frame_events nothing = {.done = NULL};
  struct braid_frame *frame;
  must(braid_frame_begin(program, 0, 0, &nothing, NULL, &frame));
  const void *data = braid_frame_tensor(frame, 0).data;
  braid_frame_abort(frame);
  braid_frame_end(&frame);
  return data;
}

/* Plans that follow each other quickly run a frame or two each: in the arena that is warm. */
Test(arenas, the_first_frame_has_the_arena_that_was_used_last) {
  struct scene s = scene_open();
  struct braid_program *other = compile(&s, WINDOW), *program = compile(&s, WINDOW);
  const void *warm = first_input(program);
  cr_assert_not_null(warm);
  for (int i = 0; i < 10; i++) {
    braid_program_destroy(&program);
    program = compile(&s, WINDOW);
    cr_assert_eq(first_input(program), warm, "change %d", i);
  }
  braid_program_destroy(&program);
  braid_program_destroy(&other);
  scene_close(&s);
}

static struct exec_block *take(const struct scene *s, size_t bytes) {
  struct exec_block *block;
  must(exec_arenas_take(s->arenas, bytes, &block));
  cr_assert_geq(block->bytes, bytes);
  return block;
}

Test(arenas, the_tightest_that_fits_else_idle_ones_make_room) {
  struct scene s = scene_open();
  struct exec_block *stays = take(&s, 1000 * KIB), *a = take(&s, 100 * KIB), *b = take(&s, 110 * KIB);
  size_t bytes = braid_pool_arena_bytes(s.pool);
  exec_arenas_give(s.arenas, b);
  exec_arenas_give(s.arenas, a);
  cr_assert_eq(take(&s, 90 * KIB), a);
  cr_assert_eq(take(&s, 90 * KIB), b);
  cr_assert_eq(braid_pool_arena_bytes(s.pool), bytes);
  exec_arenas_give(s.arenas, a);
  exec_arenas_give(s.arenas, b);
  struct exec_block *small = take(&s, 10 * KIB); /* the two are far too large for it: one of them goes */
  cr_assert_leq(braid_pool_arena_bytes(s.pool), bytes);
  struct exec_block *large = take(&s, 120 * KIB); /* the other is too small for it: it goes */
  cr_assert_eq(info_of(&s).idle_bytes, 0);
  cr_assert_eq(braid_pool_arena_bytes(s.pool), 1130 * KIB);
  exec_arenas_give(s.arenas, large);
  exec_arenas_give(s.arenas, small);
  cr_assert_eq(info_of(&s).idle_bytes, 130 * KIB);
  struct braid_arenas *others; /* of the same pool */
  must(braid_arenas_create(s.pool, &others));
  braid_pool_trim(s.pool);
  braid_arenas_destroy(&others);
  cr_assert_eq(braid_pool_arena_bytes(s.pool), 1000 * KIB);
  exec_arenas_give(s.arenas, stays);
  scene_close(&s);
}

Test(arenas, outlive_their_owner_while_a_program_has_some) {
  struct scene s = scene_open();
  struct braid_program *program = compile(&s, WINDOW);
  braid_arenas_destroy(&s.arenas);
  cr_assert_gt(braid_pool_arena_bytes(s.pool), 0);
  braid_program_destroy(&program);
  scene_close(&s);
}

Test(arenas, no_memory_leaves_nothing_taken) {
  struct scene s = scene_open();
  struct exec_block *block = NULL;
  for (long n = 1; n <= 2; n++) {
    braid_alloc_fail_at(n);
    cr_assert_eq(exec_arenas_take(s.arenas, 100 * KIB, &block), BRAID_ENOMEM);
    braid_alloc_fail_at(0);
    cr_assert_null(block);
    cr_assert_eq(info_of(&s).used_bytes, 0);
  }
  scene_close(&s);
}
