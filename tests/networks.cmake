# The networks against Python's: one of each family, small and at 224 pixels, and those with options of
# their own, with the label networks; each of the others with the label slow.

# The entries `name` for networks written NAME@HEIGHTxWIDTH,..., whose files are as large as they. Those
# after RECORDED are recorded and compared by `convkit compare` too.
function(convkit_networks name label)
  cmake_parse_arguments(PARSE_ARGV 2 given "" "" "RECORDED")
  set(folder ${parity}/${name})
  set(commands -- ${scripts}/networks.py ${folder} ${given_RECORDED})
  if(given_UNPARSED_ARGUMENTS)
    list(APPEND commands -- ${scripts}/networks.py ${folder} ${given_UNPARSED_ARGUMENTS})
  endif()
  set(entries "")
  set(files "")
  foreach(network IN LISTS given_RECORDED)
    string(REGEX REPLACE "@.*" "" network ${network})
    set(made ${network})
    set(kwargs {})
    if(network MATCHES "^unet_(.*)$")
      set(made unet)
      set(kwargs "{\"encoder\": \"${CMAKE_MATCH_1}\"}")
    endif()
    convkit_record(commands ${scripts}/recorded.py:${made} ${recordings}/${network}.safetensors
                   --input 2,3,64,96 --train --kwargs ${kwargs})
    # float32 itself rounds this network's random weights by 1.2e-3, more than compile() accepts: it is refused.
    set(compiled --compiled)
    if(network STREQUAL "efficientnet_v2_l")
      set(compiled "")
    endif()
    add_test(NAME compare.${network} COMMAND convkit_tool compare ${network}
             ${recordings}/${network}.safetensors ${compiled})
    list(APPEND entries compare.${network})
    list(APPEND files ${recordings}/${network}.safetensors)
  endforeach()
  add_test(NAME ${name}.files COMMAND ${python} ${scripts}/together.py --import recorded ${commands})
  add_test(NAME ${name} COMMAND convkit_tests [networks])
  add_test(NAME ${name}.clean COMMAND ${CMAKE_COMMAND} -E rm -rf ${folder} ${files})
  set_tests_properties(${name}.files PROPERTIES FIXTURES_SETUP ${name} PROCESSORS 2 COST 40)
  set_tests_properties(${name} ${entries} PROPERTIES FIXTURES_REQUIRED ${name} SKIP_RETURN_CODE 4
    ENVIRONMENT "OMP_NUM_THREADS=1;CONVKIT_NETWORKS=${folder}")
  set_tests_properties(${name} PROPERTIES COST 35)
  set_tests_properties(${name}.clean PROPERTIES FIXTURES_CLEANUP ${name})
  set_tests_properties(${name}.files ${name} ${entries} ${name}.clean PROPERTIES LABELS ${label})
endfunction()

set(families resnet18 mobilenet_v2 mobilenet_v3_small efficientnet_b0 convnext_tiny unet_resnet18)
set(small squeezenet1_1 shufflenet_v2_x0_5 mobilenetv1_100 googlenet lraspp_mobilenet_v3_large)
set(variants resnet50_dilated resnet18_group_norm resnet18_frozen mobilenet_v2_narrow
    mobilenet_v3_small_tail efficientnet_b0_options convnext_tiny_options unet_options
    alexnet_options vgg11_options densenet121_dropout mnasnet0_5_version_1 regnet_y_400mf_options
    googlenet_options inception_v3_plain fcn_resnet50_aux deeplabv3_mobilenet_v3_large_aux
    mobilenetv1_100_options)
list(TRANSFORM families APPEND "@97x131,224x224")
list(TRANSFORM small APPEND "@97x131")
list(TRANSFORM variants APPEND "@97x131")
convkit_networks(networks networks ${variants} mc3_18@6x48x40 dcgan_generator_options@1x1
  dcgan_discriminator_options@64x64 edsr_options@17x13 edsr_body@17x13
  RECORDED ${families} ${small})

foreach(network
    resnet34 resnet50 resnet101 resnet152 resnext50_32x4d resnext101_32x8d resnext101_64x4d
    wide_resnet50_2 wide_resnet101_2 mobilenet_v3_large
    efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5 efficientnet_b6
    efficientnet_b7 efficientnet_v2_s efficientnet_v2_m efficientnet_v2_l
    convnext_small convnext_base convnext_large legacy_xception
    alexnet vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn squeezenet1_0
    densenet121 densenet161 densenet169 densenet201
    shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0
    mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3
    regnet_x_400mf regnet_x_800mf regnet_x_1_6gf regnet_x_3_2gf regnet_x_8gf regnet_x_16gf
    regnet_x_32gf regnet_y_400mf regnet_y_800mf regnet_y_1_6gf regnet_y_3_2gf regnet_y_8gf
    regnet_y_16gf regnet_y_32gf regnet_y_128gf
    unet_resnet34 unet_resnet50 unet_resnet101 unet_resnet152 unet_resnext50_32x4d
    unet_resnext101_32x8d)
  convkit_networks(networks.${network} slow RECORDED ${network}@97x131)
endforeach()

# Those with several heads, those of videos, and those that make images.
foreach(network
    inception_v3@299x299 fcn_resnet50@97x131 fcn_resnet101@97x131
    deeplabv3_resnet50@97x131 deeplabv3_resnet101@97x131 deeplabv3_mobilenet_v3_large@97x131
    r3d_18@6x48x40 r2plus1d_18@6x48x40 s3d@13x209x209 legacy_xception_options@97x131
    dcgan_generator@1x1 dcgan_discriminator@64x64 edsr_base_x2@24x20 edsr_base_x3@24x20 edsr_base_x4@24x20)
  string(REGEX REPLACE "@.*" "" name ${network})
  convkit_networks(networks.${name} slow ${network})
endforeach()
