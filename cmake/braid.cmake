# Flags and the two functions every folder uses: braid_layer() and braid_test().
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

add_library(braid_flags INTERFACE)
target_compile_definitions(braid_flags INTERFACE _GNU_SOURCE)
target_compile_options(braid_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wcast-qual -Wwrite-strings
  -Wundef -Wformat=2 -Wdouble-promotion -fvisibility=hidden -fno-math-errno -Wno-missing-field-initializers # zero is every field's default
  $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation> # cutting a text short is what snprintf is called for
  $<$<BOOL:${BRAID_WERROR}>:-Werror>)
if(BRAID_SANITIZE)
  target_compile_options(braid_flags INTERFACE -fsanitize=${BRAID_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all)
  target_link_options(braid_flags INTERFACE -fsanitize=${BRAID_SANITIZE})
endif()

# Library code is also clean under -Wconversion; tests and benchmarks are spared that.
add_library(braid_strict INTERFACE)
target_link_libraries(braid_strict INTERFACE braid_flags)
target_compile_options(braid_strict INTERFACE -Wconversion -Wno-sign-conversion)

# braid_layer(NAME dir DEPENDS layer... PRIVATE lib... SOURCES file...)
# One static library a folder. Only what it DEPENDS on is on its include path, so a wrong include does not compile.
function(braid_layer)
  cmake_parse_arguments(arg "" "NAME" "DEPENDS;PRIVATE;SOURCES" ${ARGN})
  set(target braid_${arg_NAME})
  if(arg_SOURCES)
    add_library(${target} STATIC ${arg_SOURCES})
    target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
                               PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(${target} PUBLIC ${arg_DEPENDS} PRIVATE $<BUILD_INTERFACE:braid_strict> ${arg_PRIVATE})
  else()
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE ${CMAKE_CURRENT_SOURCE_DIR}/include)
    target_link_libraries(${target} INTERFACE ${arg_DEPENDS} ${arg_PRIVATE})
  endif()
  set_property(GLOBAL APPEND PROPERTY BRAID_LAYERS ${target})
  set_property(GLOBAL APPEND PROPERTY BRAID_INCLUDES ${CMAKE_CURRENT_SOURCE_DIR}/include)
endfunction()

# braid_test(name SOURCES file... LINK lib... [PLAIN])
# A Criterion program registered with ctest; PLAIN: an ordinary program (thread tests must run under TSan, which Criterion
# does not survive). Private headers of the folder under test are given by INCLUDE.
function(braid_test name)
  cmake_parse_arguments(arg "PLAIN" "TIMEOUT" "SOURCES;LINK;INCLUDE;LABELS" ${ARGN})
  add_executable(test_${name} ${arg_SOURCES})
  target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support ${arg_INCLUDE})
  target_link_libraries(test_${name} PRIVATE ${arg_LINK} braid_flags Threads::Threads m)
  if(NOT arg_PLAIN)
    target_link_libraries(test_${name} PRIVATE PkgConfig::CRITERION)
    if(CMAKE_CROSSCOMPILING)
      target_sources(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/criterion_fork.c)
    endif()
  endif()
  add_test(NAME ${name} COMMAND test_${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  # What `braid tune` has measured for the user is nothing to test with.
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}"
                       ENVIRONMENT XDG_CACHE_HOME=${PROJECT_BINARY_DIR}/no-cache)
  if(BRAID_SANITIZE)
    # Criterion runs each test in a process of its own and does not ask how it ended: leaks are found in what it prints.
    set_tests_properties(${name} PROPERTIES FAIL_REGULAR_EXPRESSION "SUMMARY: [A-Za-z]*Sanitizer")
  endif()
endfunction()
