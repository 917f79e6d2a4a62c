/* SPDX-License-Identifier: Apache-2.0 */
#include "session_rig.h"
#include "session_suite.h"

int main(void) {
  session_suite_answers("tcp", 30);
  session_suite_failures("tcp");
  session_suite_hostile("tcp");
  rig_done();
  return 0;
}
