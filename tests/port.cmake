# convkit.port writes modules of Python as pages of C++. One program of all pages is compiled as a part of the test, and
# compares each page with what Python computed.

# The entries `name` for the modules that pages.py is given.
function(convkit_port name label)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/${name})
  convkit_executable(${name}_check EXCLUDE_FROM_ALL port/check.cpp)
  target_include_directories(${name}_check PRIVATE ${folder})
  set_target_properties(${name}_check PROPERTIES UNITY_BUILD OFF)
  add_test(NAME ${name}.pages COMMAND ${python} ${CMAKE_CURRENT_SOURCE_DIR}/port/pages.py ${folder} ${ARGN})
  add_test(NAME ${name}.build COMMAND ${CMAKE_COMMAND} --build ${PROJECT_BINARY_DIR} --target ${name}_check)
  add_test(NAME ${name} COMMAND ${name}_check ${folder})
  add_test(NAME ${name}.clean COMMAND ${CMAKE_COMMAND} -E rm -rf ${folder})
  set_tests_properties(${name}.pages PROPERTIES FIXTURES_SETUP ${name}.pages COST 40 TIMEOUT 3600)
  # Another build of the same folder must not run at the same time.
  set_tests_properties(${name}.build PROPERTIES FIXTURES_SETUP ${name} FIXTURES_REQUIRED ${name}.pages COST 40
    RESOURCE_LOCK build TIMEOUT 1800)
  set_tests_properties(${name} PROPERTIES FIXTURES_REQUIRED "${name};${name}.pages" TIMEOUT 3600)
  set_tests_properties(${name}.clean PROPERTIES FIXTURES_CLEANUP ${name}.pages)
  set_tests_properties(${name}.pages ${name} PROPERTIES ENVIRONMENT OMP_NUM_THREADS=1)
  if(label)
    set_tests_properties(${name}.pages ${name}.build ${name} ${name}.clean PROPERTIES LABELS ${label})
  endif()
endfunction()

convkit_port(port "" ${CMAKE_CURRENT_SOURCE_DIR}/port/small.py ${CMAKE_CURRENT_SOURCE_DIR}/port/results.py
  ${CMAKE_CURRENT_SOURCE_DIR}/port/weights.py ${CMAKE_CURRENT_SOURCE_DIR}/port/table.py)

# torchvision's, one of each family. GoogLeNet and Inception give more in training than in eval mode; the segmentation
# networks and the pyramid of features give dicts, with and without what an auxiliary classifier says.
set(segmentation "torchvision.models.segmentation")
set(alone "?{\"weights\":null,\"weights_backbone\":null}")
set(with_aux "?{\"weights\":null,\"weights_backbone\":null,\"aux_loss\":true}")
convkit_port(port_networks slow
  alexnet@2,3,96,96 vgg11_bn resnet18 resnet50 resnext50_32x4d wide_resnet50_2 squeezenet1_1 densenet121
  shufflenet_v2_x1_0 mobilenet_v2 mobilenet_v3_large mnasnet1_0 efficientnet_b0 efficientnet_v2_s
  regnet_x_400mf regnet_y_400mf convnext_tiny vit_b_32@@2,3,224,224 swin_t@@2,3,224,224 swin_v2_t@@2,3,256,256
  r3d_18@@2,3,4,32,32=torchvision.models.video:r3d_18
  "googlenet=torchvision.models:googlenet?{\"init_weights\":false}"
  "inception_v3@@2,3,299,299=torchvision.models:inception_v3?{\"init_weights\":false}"
  "fcn_resnet50=${segmentation}:fcn_resnet50${with_aux}" "fcn_resnet101=${segmentation}:fcn_resnet101${alone}"
  "deeplabv3_resnet50=${segmentation}:deeplabv3_resnet50${alone}"
  "deeplabv3_resnet101=${segmentation}:deeplabv3_resnet101${with_aux}"
  "deeplabv3_mobilenet_v3_large=${segmentation}:deeplabv3_mobilenet_v3_large${with_aux}"
  "lraspp_mobilenet_v3_large=${segmentation}:lraspp_mobilenet_v3_large${alone}"
  "fpn=torchvision.models.detection.backbone_utils:resnet_fpn_backbone?{\"backbone_name\":\"resnet18\",\"weights\":null,\"trainable_layers\":5}")

# timm's, one of each of its files; seven at a time, since their recordings are large.
foreach(part RANGE 13)
  convkit_port(port_timm_${part} slow ${CMAKE_CURRENT_SOURCE_DIR}/port/timm_networks.py@${part}/14)
endforeach()

# Networks as people write them.
convkit_port(port_user slow ${CMAKE_CURRENT_SOURCE_DIR}/port/user.py)

# Each decoder of segmentation_models_pytorch on three encoders: a program for each encoder.
set(vit_resnet18 "tu-vit_tiny_patch16_224")
set(vit_mobilenet_v2 "tu-deit_tiny_patch16_224")
set(vit_efficientnet-b0 "tu-vit_small_patch16_224")
foreach(encoder resnet18 mobilenet_v2 efficientnet-b0)
  set(networks "")
  foreach(decoder Unet UnetPlusPlus MAnet Linknet FPN PSPNet PAN DeepLabV3 DeepLabV3Plus UPerNet Segformer DPT)
    set(sizes "2,3,64,64")
    set(name ${encoder})
    if(decoder STREQUAL "PAN")
      set(sizes "2,3,256,256")
    elseif(decoder STREQUAL "DPT")
      set(sizes "@2,3,224,224")
      set(name ${vit_${encoder}})
    endif()
    list(APPEND networks "${decoder}@${sizes}=segmentation_models_pytorch:${decoder}?{\"encoder_name\":\"${name}\",\"encoder_weights\":null}")
  endforeach()
  convkit_port(port_segmentation.${encoder} slow ${networks})
endforeach()

# Networks, and layers, of kornia.
set(hardnet "{\"pretrained\":false}")
convkit_port(port_kornia slow
  "HardNet@@2,1,32,32=kornia.feature:HardNet?${hardnet}" "HyNet@@2,1,32,32=kornia.feature:HyNet?${hardnet}"
  "SOSNet@@2,1,32,32=kornia.feature:SOSNet?${hardnet}" "TFeat@@2,1,32,32=kornia.feature:TFeat?${hardnet}"
  "DexiNed=kornia.filters.dexined:DexiNed?${hardnet}"
  "MobileViT@@2,3,256,256=kornia.models.vit_mobile:MobileViT?{\"mode\":\"xxs\"}"
  "EfficientViT=kornia.models.efficient_vit.backbone:efficientvit_backbone_b0"
  "Sobel@2,3,16,16=kornia.filters:Sobel" "BlurPool@2,3,16,16=kornia.filters:BlurPool2D?{\"kernel_size\":3}"
  "Ycbcr@2,3,16,16=kornia.color:RgbToYcbcr")

# Networks of packages that published.cmake fetches.
convkit_port(port_packages slow ${CMAKE_CURRENT_SOURCE_DIR}/port/packages.py)
set_tests_properties(port_packages.pages port_packages PROPERTIES SKIP_RETURN_CODE 4)
set_tests_properties(port_packages.pages PROPERTIES FIXTURES_REQUIRED published
  ENVIRONMENT "OMP_NUM_THREADS=1;CONVKIT_PUBLISHED=${parity}/published")

# The excerpts of pages in the prose are on them.
add_test(NAME port_excerpts COMMAND ${python} ${CMAKE_CURRENT_SOURCE_DIR}/port/excerpts.py
                                    ${PROJECT_SOURCE_DIR}/apps/python/README.md)
set_tests_properties(port_excerpts PROPERTIES ENVIRONMENT OMP_NUM_THREADS=1)

if(NOT BUILD_SHARED_LIBS)
  add_test(NAME port_project COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/port/project_test.sh ${PROJECT_BINARY_DIR}
                                     "${TORCH_INSTALL_PREFIX};${dnnl_DIR}" ${python})
  set_tests_properties(port_project PROPERTIES LABELS slow TIMEOUT 1800 ENVIRONMENT OMP_NUM_THREADS=1)
endif()
