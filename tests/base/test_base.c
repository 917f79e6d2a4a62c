/* SPDX-License-Identifier: Apache-2.0 */
#include "braid/base.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

Test(base, failure_messages_nest) {
  enum braid_status s = braid_fail(BRAID_ESHAPE, "node '%s': %d rows", "conv1", 7);
  cr_assert_eq(s, BRAID_ESHAPE);
  cr_assert_str_eq(braid_error(), "node 'conv1': 7 rows");
  s = braid_fail_in(s, "model.onnx");
  cr_assert_eq(s, BRAID_ESHAPE);
  cr_assert_str_eq(braid_error(), "model.onnx: node 'conv1': 7 rows");
  s = braid_fail(BRAID_EIO, "again: %s", braid_error());
  cr_assert_str_eq(braid_error(), "again: model.onnx: node 'conv1': 7 rows");
}

Test(base, every_status_and_op_has_a_text) {
  for (int s = BRAID_OK; s <= BRAID_EIO; s++) cr_assert_neq(braid_status_text((enum braid_status)s)[0], '\0');
  for (int o = 0; o < BRAID_OP_COUNT; o++) cr_assert_neq(braid_op_name((enum braid_op)o)[0], '\0');
  cr_assert_str_eq(braid_op_name(BRAID_OP_GLOBAL_AVERAGE_POOL), "GlobalAveragePool");
}

Test(base, impossible_shapes_are_refused) {
  size_t bytes;
  struct braid_shape huge = braid_shape_of(4, (int[]){1 << 30, 1 << 30, 1 << 30, 2});
  cr_assert_eq(braid_shape_bytes(&huge, BRAID_F32, &bytes), BRAID_ESHAPE);
  struct braid_shape negative = braid_shape_of(2, (int[]){3, -1});
  cr_assert_eq(braid_shape_bytes(&negative, BRAID_F32, &bytes), BRAID_ESHAPE);
  struct braid_shape scalar = braid_shape_of(0, NULL);
  cr_assert_eq(braid_shape_bytes(&scalar, BRAID_I64, &bytes), BRAID_OK);
  cr_assert_eq(bytes, 8);
}

Test(base, slices_partition_the_rows) {
  for (int rows = 1; rows < 40; rows++)
    for (int n = 1; n <= rows; n++) {
      int at = 0;
      for (int i = 0; i < n; i++) {
        struct braid_band b = braid_slice_band(rows, n, i);
        cr_assert_eq(b.begin, at);
        cr_assert_gt(b.end, b.begin);
        at = b.end;
      }
      cr_assert_eq(at, rows);
    }
}

Test(base, bands_survive_pack_and_unpack) {
  float from[2 * 3 * 5 * 4], to[2 * 3 * 5 * 4], wire[sizeof from / sizeof *from];
  for (size_t i = 0; i < sizeof from / sizeof *from; i++) from[i] = braid_random_f32(1, i);
  memset(to, 0, sizeof to);
  struct braid_tensor a = {from, BRAID_F32, braid_shape_of(4, (int[]){2, 3, 5, 4})}, b = a;
  b.data = to;
  for (int i = 0; i < 3; i++) {
    struct braid_band band = braid_slice_band(5, 3, i);
    cr_assert_eq(braid_band_bytes(&a.shape, a.dtype, band), (size_t)(band.end - band.begin) * 6 * 16);
    braid_band_pack(&a, band, wire);
    braid_band_unpack(&b, band, wire);
  }
  cr_assert_eq(memcmp(from, to, sizeof from), 0);
}

Test(base, the_nth_allocation_fails) {
  braid_alloc_fail_at(2);
  void *one = braid_malloc(8), *two = braid_malloc(8), *three = braid_malloc(8);
  cr_assert(one && !two && three);
  braid_free(one);
  braid_free(three);
}

/* First values of the generator that test data is made by (splitmix64, seed = FNV-1a of the name). */
Test(base, random_numbers_do_not_change) {
  cr_assert_eq(braid_random_u64(0, 0), UINT64_C(0xE220A8397B1DCDAF));
  cr_assert_eq(braid_fnv1a("a"), UINT64_C(0xaf63dc4c8601ec8c));
  for (uint64_t i = 0; i < 1000; i++) cr_assert(braid_random_f32(7, i) >= -1.0f && braid_random_f32(7, i) < 1.0f);
}

/* --------------------------------------------------------------------------------------------------- the log */

static void say_before(void) {
  cr_assert_eq(write(STDERR_FILENO, "<", 1), 1);
}
static void say_after(void) {
  cr_assert_eq(write(STDERR_FILENO, ">", 1), 1);
}

/* Whoever draws on the same terminal makes way for every line, and is not asked when it has gone. */
Test(log, lines_are_written_between_before_and_after) {
  static const struct braid_log_around around = {say_before, say_after};
  int pipe_fd[2], kept = dup(STDERR_FILENO);
  char got[256] = "";
  cr_assert_eq(pipe(pipe_fd), 0);
  dup2(pipe_fd[1], STDERR_FILENO);
  braid_log_set_name("t");
  braid_log_set_around(&around);
  braid_log(BRAID_LOG_INFO, "one");
  braid_log(BRAID_LOG_DEBUG, "not at this level");
  braid_log_line("as it is: %s");
  braid_log_set_around(NULL);
  braid_log_line("two");
  dup2(kept, STDERR_FILENO);
  close(pipe_fd[1]);
  cr_assert_gt(read(pipe_fd[0], got, sizeof got - 1), 0);
  close(pipe_fd[0]);
  close(kept);
  cr_assert_str_eq(got, "<t: one\n><as it is: %s\n>two\n");
}
