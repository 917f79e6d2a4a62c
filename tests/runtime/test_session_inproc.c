/* SPDX-License-Identifier: Apache-2.0 */
#include "session_rig.h"
#include "session_suite.h"

int main(void) {
  session_suite_answers("inproc", 60);
  session_suite_failures("inproc");
  session_suite_hostile("inproc");
  rig_done();
  return 0;
}
