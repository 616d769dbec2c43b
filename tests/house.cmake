# cmake -D source=DIR -P house.cmake: the rules of the house that a compiler does not check.
cmake_minimum_required(VERSION 3.25)

# 1. A public header includes only headers that stand earlier in this list, and no fmt.
set(order arithmetic module init conv same filters activation norm blocks separable upsample
    attention branch_attention multihead_attention parametrize segmentation ops
    models/classifier models/alexnet models/vgg models/squeezenet models/inception models/googlenet
    models/resnet models/densenet models/mobilenetv1 models/mobilenetv2 models/mobilenetv3
    models/shufflenetv2 models/mnasnet models/efficientnet models/regnet models/convnext
    models/xception models/segmentation models/unet models/video models/dcgan models/edsr
    models state_dict tree checkpoint compare summary compile image transforms boxes sample
    random_transforms color random_color transform_modules presets sampler dataset collate data
    optim clip_grad lr_scheduler lr_policies averaging amp compare_training sync_batch_norm parallel convkit)
file(GLOB_RECURSE headers RELATIVE ${source}/include/convkit ${source}/include/convkit/*.h)
foreach(header IN LISTS headers)
  string(REGEX REPLACE "\\.h$" "" name "${header}")
  list(FIND order ${name} place)
  if(place EQUAL -1)
    message(SEND_ERROR "include/convkit/${header} has no place in the order of headers")
  endif()
  file(STRINGS ${source}/include/convkit/${header} includes REGEX "^ *# *include")
  foreach(include IN LISTS includes)
    if(include MATCHES "<(fmt|nlohmann|CLI)/|\"")
      message(SEND_ERROR "include/convkit/${header} includes what is private: ${include}")
    endif()
    if(include MATCHES "convkit/([a-z_0-9/]+)\\.h")
      list(FIND order ${CMAKE_MATCH_1} included)
      if(included EQUAL -1 OR NOT included LESS place)
        message(SEND_ERROR "include/convkit/${header} includes ${CMAKE_MATCH_1}.h, which does not "
                            "stand earlier in the order of headers")
      endif()
    endif()
  endforeach()
endforeach()

# They are installed in this order, all of them.
file(STRINGS ${source}/CMakeLists.txt installed REGEX "^ +include/convkit/.*\\.h")
list(TRANSFORM installed REPLACE "^ +include/convkit/(.*)\\.h.*" "\\1")
if(NOT installed STREQUAL order)
  message(SEND_ERROR "CMakeLists.txt lists other headers, or in another order: ${installed}")
endif()

# 2. The rooms of src/, in order: a file includes headers of its own room and of those above it. A public
# header belongs to the room of its source, and to the rooms inside that one.
set(rooms core layers models weights watch files compare summary
    compile/tape compile/plan compile/engines compile/onednn compile image data train)
file(GLOB_RECURSE private_headers RELATIVE ${source}/src ${source}/src/*.h)
file(GLOB_RECURSE sources RELATIVE ${source}/src ${source}/src/*.cpp)
foreach(header IN LISTS headers)
  get_filename_component(name ${header} NAME_WE)
  set(found ${sources})
  list(FILTER found INCLUDE REGEX "(^|/)${name}\\.cpp$")
  foreach(file IN LISTS found)  # src/models/segmentation.cpp is models/segmentation.h's alone
    string(REGEX REPLACE "cpp$" "h" own ${file})
    if(NOT own STREQUAL header AND (own IN_LIST headers OR header MATCHES "/"))
      list(REMOVE_ITEM found ${file})
    endif()
  endforeach()
  set("source_of_${header}" "${found}")
endforeach()
foreach(file IN LISTS private_headers sources)
  get_filename_component(room ${file} DIRECTORY)
  list(FIND rooms "${room}" place)
  if(place EQUAL -1)
    message(SEND_ERROR "src/${file} is in no room of the house")
    continue()
  endif()
  file(STRINGS ${source}/src/${file} includes REGEX "^ *# *include *(\"|<convkit/)")
  foreach(include IN LISTS includes)
    string(REGEX REPLACE ".*[\"<](.*)[\">].*" "\\1" include "${include}")
    set(other "${include}")
    if(include MATCHES "^convkit/(.*)")
      set(other "${source_of_${CMAKE_MATCH_1}}")
      if(NOT other)
        continue()
      endif()
    endif()
    get_filename_component(other "${other}" DIRECTORY)
    if(include MATCHES "^convkit/" AND room MATCHES "^${other}/")
      continue()
    endif()
    list(FIND rooms "${other}" included)
    if(included EQUAL -1 OR included GREATER place)
      message(SEND_ERROR "src/${file} includes ${include}, which is in no room above its own")
    endif()
  endforeach()
endforeach()

# 3. No file has more than 400 lines.
file(GLOB_RECURSE files RELATIVE ${source}
     ${source}/include/*.h ${source}/src/*.h ${source}/src/*.cpp
     ${source}/apps/*.h ${source}/apps/*.cpp ${source}/apps/*.py)
foreach(file IN LISTS files)
  file(READ ${source}/${file} text)
  string(REGEX REPLACE "[^\n]+" "" text "${text}")
  string(LENGTH "${text}" lines)
  if(lines GREATER 400)
    message(SEND_ERROR "${file} has ${lines} lines, more than 400")
  endif()
endforeach()

# The classes that a file defines, outside of others.
function(convkit_classes file result)
  file(STRINGS ${file} lines
       REGEX "^(template <.*> )?(class|struct) ([A-Z_]+ )?[A-Za-z0-9]+( final)?( :[^:]| \\{|$)")
  set(names "")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^(template <.*> )?(class|struct) ([A-Z_]+ )?([A-Za-z0-9]+).*" "\\4" name "${line}")
    list(APPEND names ${name})
  endforeach()
  set(${result} ${names} PARENT_SCOPE)
endfunction()

# 4. What a header declares is defined in it, or in the source of its name: beside a private header,
# anywhere in src/ for a public one. So a header without a source declares no function at the outermost
# level that it does not define, and no source defines a member of its classes.
function(convkit_check_without_source header)
  file(READ ${source}/${header} text)
  string(REGEX REPLACE "//[^\n]*|= {}" "" text "${text}")
  if(text MATCHES "\n[A-Za-z][^;{}=()#]*[ *&]([a-z_0-9]+)\\([^;{}]*\\)[^;{}()]*;")
    message(SEND_ERROR "${header} declares ${CMAKE_MATCH_1}(), and has no source of its name")
  endif()
  convkit_classes(${source}/${header} classes)
  foreach(class IN LISTS classes)
    foreach(file IN LISTS sources)
      file(STRINGS ${source}/src/${file} definitions LIMIT_COUNT 1
           REGEX "^([A-Za-z].*[ *&:])?${class}::[A-Za-z_0-9:~]+\\(")
      if(definitions)
        message(SEND_ERROR "src/${file} defines members of ${class}, which is not in its header, but in ${header}")
      endif()
    endforeach()
  endforeach()
endfunction()
foreach(header IN LISTS private_headers)
  string(REGEX REPLACE "\\.h$" ".cpp" file ${header})
  if(NOT file IN_LIST sources)
    convkit_check_without_source(src/${header})
  endif()
endforeach()
foreach(header IN LISTS headers)
  if(NOT source_of_${header})
    convkit_check_without_source(include/convkit/${header})
  endif()
endforeach()

# 5. No two classes have one name. Networks have namespaces of their own, since their blocks are called
# as in Python: both MobileNets have an InvertedResidual.
foreach(file IN LISTS files)
  if(NOT file MATCHES "^(include|src)/")
    continue()
  endif()
  set(scope "")
  if(file MATCHES "/models/([a-z_0-9]+)\\.(h|cpp)$")
    set(scope "models::${CMAKE_MATCH_1}::")
  endif()
  convkit_classes(${source}/${file} classes)
  foreach(class IN LISTS classes)
    if(DEFINED "defined_${scope}${class}")
      message(SEND_ERROR "${file} and ${defined_${scope}${class}} define two classes of the name ${class}")
    endif()
    set("defined_${scope}${class}" ${file})
  endforeach()
endforeach()

# 6. The README's example is apps/examples/010-a-block.cpp.
file(READ ${source}/README.md readme)
file(READ ${source}/apps/examples/010-a-block.cpp example)
string(FIND "${readme}" "```cpp\n${example}```" found)
if(found EQUAL -1)
  message(SEND_ERROR "README.md does not show apps/examples/010-a-block.cpp as it is")
endif()

# 7. The table of modules has all of them.
set(tables README.md)
if(EXISTS ${source}/include/convkit/README.md)
  set(tables include/convkit/README.md)
endif()
file(READ ${source}/${tables} readme)
foreach(header IN LISTS headers)
  file(STRINGS ${source}/include/convkit/${header} lines
       REGEX "^(CONVKIT_MODULE\\(|namespace |}  // namespace )")
  set(scope "")
  foreach(line IN LISTS lines)
    if(line MATCHES "^CONVKIT_MODULE.([A-Za-z0-9]+)")
      string(SUBSTRING "${scope}${CMAKE_MATCH_1}" 9 -1 module)  # after convkit::
      string(FIND "${readme}" "| `${module}` |" found)
      if(found EQUAL -1)
        message(SEND_ERROR "${tables} has no row for `${module}`")
      endif()
    elseif(line MATCHES "^namespace ([a-z_0-9:]+)")
      string(APPEND scope "${CMAKE_MATCH_1}::")
    elseif(line MATCHES "^}  // namespace ([a-z_0-9:]+)")
      string(REGEX REPLACE "${CMAKE_MATCH_1}::$" "" scope "${scope}")
    endif()
  endforeach()
endforeach()

# 8. It names all networks that have a name.
file(STRINGS ${source}/src/models/models.cpp builders REGEX "builder\\(\"[a-z_0-9]+\"")
list(LENGTH builders count)
if(count LESS 28)
  message(SEND_ERROR "src/models/models.cpp: found ${count} builders")
endif()
foreach(builder IN LISTS builders)
  string(REGEX REPLACE ".*builder.\"([a-z_0-9]+)\".*" "\\1" builder "${builder}")
  string(FIND "${readme}" "`${builder}`" found)
  if(found EQUAL -1)
    message(SEND_ERROR "${tables} does not name the network `${builder}`")
  endif()
endforeach()
