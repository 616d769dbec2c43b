#include "models/descriptions.h"

#include <cstdint>
#include <string>
#include <vector>

namespace convkit::models {

namespace {

struct Row {
  const char* name;
  std::vector<int64_t> size;  // of the image, or the clip
  int64_t parameters;
  int64_t macs;
  int64_t tensors;
  std::vector<PublishedWeights> weights;  // an address without a host is one of torchvision's
};

struct Family {
  const char* source;
  std::vector<Row> rows;
};

/// What tests/parity/descriptions.py --rows NAME... prints.
std::vector<Family> families() {
  // clang-format off
  return {
      {"torchvision.models.alexnet", {
        {"alexnet", {224, 224}, 61'100'840, 714'188'480, 16,
         {{"IMAGENET1K_V1", "alexnet-owt-7be5be79.pth"}}},
      }},
      {"torchvision.models.vgg", {
        {"vgg11", {224, 224}, 132'863'336, 7'609'090'048, 22,
         {{"IMAGENET1K_V1", "vgg11-8a719046.pth"}}},
        {"vgg11_bn", {224, 224}, 132'868'840, 7'609'090'048, 54,
         {{"IMAGENET1K_V1", "vgg11_bn-6002323d.pth"}}},
        {"vgg13", {224, 224}, 133'047'848, 11'308'466'176, 26,
         {{"IMAGENET1K_V1", "vgg13-19584684.pth"}}},
        {"vgg13_bn", {224, 224}, 133'053'736, 11'308'466'176, 66,
         {{"IMAGENET1K_V1", "vgg13_bn-abd245e5.pth"}}},
        {"vgg16", {224, 224}, 138'357'544, 15'470'264'320, 32,
         {{"IMAGENET1K_V1", "vgg16-397923af.pth"},
          {"IMAGENET1K_FEATURES", "vgg16_features-amdegroot-88682ab5.pth"}}},
        {"vgg16_bn", {224, 224}, 138'365'992, 15'470'264'320, 84,
         {{"IMAGENET1K_V1", "vgg16_bn-6c64b313.pth"}}},
        {"vgg19", {224, 224}, 143'667'240, 19'632'062'464, 38,
         {{"IMAGENET1K_V1", "vgg19-dcbb9e9d.pth"}}},
        {"vgg19_bn", {224, 224}, 143'678'248, 19'632'062'464, 102,
         {{"IMAGENET1K_V1", "vgg19_bn-c79401a0.pth"}}},
      }},
      {"torchvision.models.squeezenet", {
        {"squeezenet1_0", {224, 224}, 1'248'424, 818'924'576, 52,
         {{"IMAGENET1K_V1", "squeezenet1_0-b66bff10.pth"}}},
        {"squeezenet1_1", {224, 224}, 1'235'496, 349'151'936, 52,
         {{"IMAGENET1K_V1", "squeezenet1_1-b8a52dc0.pth"}}},
      }},
      {"torchvision.models.googlenet", {
        {"googlenet", {224, 224}, 13'004'888, 1'498'376'192, 287,
         {{"IMAGENET1K_V1", "googlenet-1378be20.pth"}}},
      }},
      {"torchvision.models.inception", {
        {"inception_v3", {299, 299}, 27'161'264, 5'713'216'096, 472,
         {{"IMAGENET1K_V1", "inception_v3_google-0cc3c7bd.pth"}}},
      }},
      {"torchvision.models.resnet", {
        {"resnet18", {224, 224}, 11'689'512, 1'814'073'344, 102,
         {{"IMAGENET1K_V1", "resnet18-f37072fd.pth"}}},
        {"resnet34", {224, 224}, 21'797'672, 3'663'761'408, 182,
         {{"IMAGENET1K_V1", "resnet34-b627a593.pth"}}},
        {"resnet50", {224, 224}, 25'557'032, 4'089'184'256, 267,
         {{"IMAGENET1K_V1", "resnet50-0676ba61.pth"},
          {"IMAGENET1K_V2", "resnet50-11ad3fa6.pth"}}},
        {"resnet101", {224, 224}, 44'549'160, 7'801'405'440, 522,
         {{"IMAGENET1K_V1", "resnet101-63fe2227.pth"},
          {"IMAGENET1K_V2", "resnet101-cd907fc2.pth"}}},
        {"resnet152", {224, 224}, 60'192'808, 11'513'626'624, 777,
         {{"IMAGENET1K_V1", "resnet152-394f9c45.pth"},
          {"IMAGENET1K_V2", "resnet152-f82ba261.pth"}}},
        {"resnext50_32x4d", {224, 224}, 25'028'904, 4'230'479'872, 267,
         {{"IMAGENET1K_V1", "resnext50_32x4d-7cdf4587.pth"},
          {"IMAGENET1K_V2", "resnext50_32x4d-1a0047aa.pth"}}},
        {"resnext101_32x8d", {224, 224}, 88'791'336, 16'414'015'488, 522,
         {{"IMAGENET1K_V1", "resnext101_32x8d-8ba56ff5.pth"},
          {"IMAGENET1K_V2", "resnext101_32x8d-110c445d.pth"}}},
        {"resnext101_64x4d", {224, 224}, 83'455'272, 15'460'270'080, 522,
         {{"IMAGENET1K_V1", "resnext101_64x4d-173b62eb.pth"}}},
        {"wide_resnet50_2", {224, 224}, 68'883'240, 11'398'021'120, 267,
         {{"IMAGENET1K_V1", "wide_resnet50_2-95faca4d.pth"},
          {"IMAGENET1K_V2", "wide_resnet50_2-9ba9bcbe.pth"}}},
        {"wide_resnet101_2", {224, 224}, 126'886'696, 22'753'050'624, 522,
         {{"IMAGENET1K_V1", "wide_resnet101_2-32ee1156.pth"},
          {"IMAGENET1K_V2", "wide_resnet101_2-d733dc28.pth"}}},
      }},
      {"torchvision.models.densenet", {
        {"densenet121", {224, 224}, 7'978'856, 2'834'161'664, 606,
         {{"IMAGENET1K_V1", "densenet121-a639ec97.pth"}}},
        {"densenet161", {224, 224}, 28'681'000, 7'727'907'072, 806,
         {{"IMAGENET1K_V1", "densenet161-8d451a50.pth"}}},
        {"densenet169", {224, 224}, 14'149'480, 3'359'843'328, 846,
         {{"IMAGENET1K_V1", "densenet169-b2777c0a.pth"}}},
        {"densenet201", {224, 224}, 20'013'928, 4'291'365'888, 1006,
         {{"IMAGENET1K_V1", "densenet201-c1103571.pth"}}},
      }},
      {"timm.models.efficientnet", {
        {"mobilenetv1_100", {224, 224}, 4'231'976, 568'740'352, 137,
         {{"ra4_e3600_r224_in1k", "https://huggingface.co/timm/mobilenetv1_100.ra4_e3600_r224_in1k/resolve/main/model.safetensors"}}},
      }},
      {"torchvision.models.mobilenetv2", {
        {"mobilenet_v2", {224, 224}, 3'504'872, 300'774'272, 262,
         {{"IMAGENET1K_V1", "mobilenet_v2-b0353104.pth"},
          {"IMAGENET1K_V2", "mobilenet_v2-7ebf99e0.pth"}}},
      }},
      {"torchvision.models.mobilenetv3", {
        {"mobilenet_v3_large", {224, 224}, 5'483'032, 216'589'760, 266,
         {{"IMAGENET1K_V1", "mobilenet_v3_large-8738ca79.pth"},
          {"IMAGENET1K_V2", "mobilenet_v3_large-5c1a4163.pth"}}},
        {"mobilenet_v3_small", {224, 224}, 2'542'856, 56'510'400, 210,
         {{"IMAGENET1K_V1", "mobilenet_v3_small-047dcff4.pth"}}},
      }},
      {"torchvision.models.shufflenetv2", {
        {"shufflenet_v2_x0_5", {224, 224}, 1'366'792, 40'476'448, 282,
         {{"IMAGENET1K_V1", "shufflenetv2_x0.5-f707e7126e.pth"}}},
        {"shufflenet_v2_x1_0", {224, 224}, 2'278'604, 144'907'992, 282,
         {{"IMAGENET1K_V1", "shufflenetv2_x1-5666bf0f80.pth"}}},
        {"shufflenet_v2_x1_5", {224, 224}, 3'503'624, 295'759'392, 282,
         {{"IMAGENET1K_V1", "shufflenetv2_x1_5-3c479a10.pth"}}},
        {"shufflenet_v2_x2_0", {224, 224}, 7'393'996, 583'253'464, 282,
         {{"IMAGENET1K_V1", "shufflenetv2_x2_0-8be3c8ee.pth"}}},
      }},
      {"torchvision.models.mnasnet", {
        {"mnasnet0_5", {224, 224}, 2'218'512, 104'455'968, 262,
         {{"IMAGENET1K_V1", "mnasnet0.5_top1_67.823-3ffadce67e.pth"}}},
        {"mnasnet0_75", {224, 224}, 3'170'208, 215'493'104, 262,
         {{"IMAGENET1K_V1", "mnasnet0_75-7090bc5f.pth"}}},
        {"mnasnet1_0", {224, 224}, 4'383'312, 314'415'872, 262,
         {{"IMAGENET1K_V1", "mnasnet1.0_top1_73.512-f206786ef8.pth"}}},
        {"mnasnet1_3", {224, 224}, 6'282'256, 526'362'432, 262,
         {{"IMAGENET1K_V1", "mnasnet1_3-a4c69d6f.pth"}}},
      }},
      {"torchvision.models.efficientnet", {
        {"efficientnet_b0", {224, 224}, 5'288'548, 385'814'752, 311,
         {{"IMAGENET1K_V1", "efficientnet_b0_rwightman-7f5810bc.pth"}}},
        {"efficientnet_b1", {240, 240}, 7'794'184, 686'802'832, 439,
         {{"IMAGENET1K_V1", "efficientnet_b1_rwightman-bac287d4.pth"},
          {"IMAGENET1K_V2", "efficientnet_b1-c27df63c.pth"}}},
        {"efficientnet_b2", {288, 288}, 9'109'994, 1'087'529'456, 439,
         {{"IMAGENET1K_V1", "efficientnet_b2_rwightman-c35c1473.pth"}}},
        {"efficientnet_b3", {300, 300}, 12'233'232, 1'827'141'392, 496,
         {{"IMAGENET1K_V1", "efficientnet_b3_rwightman-b3899882.pth"}}},
        {"efficientnet_b4", {380, 380}, 19'341'616, 4'393'771'024, 610,
         {{"IMAGENET1K_V1", "efficientnet_b4_rwightman-23ab8bcd.pth"}}},
        {"efficientnet_b5", {456, 456}, 30'389'784, 10'266'384'752, 738,
         {{"IMAGENET1K_V1", "efficientnet_b5_lukemelas-1a07897c.pth"}}},
        {"efficientnet_b6", {528, 528}, 43'040'704, 19'067'593'536, 852,
         {{"IMAGENET1K_V1", "efficientnet_b6_lukemelas-24a108a5.pth"}}},
        {"efficientnet_b7", {600, 600}, 66'347'960, 37'745'884'192, 1037,
         {{"IMAGENET1K_V1", "efficientnet_b7_lukemelas-c5b4e57e.pth"}}},
        {"efficientnet_v2_s", {384, 384}, 21'458'488, 8'365'617'152, 672,
         {{"IMAGENET1K_V1", "efficientnet_v2_s-dd5fe13b.pth"}}},
        {"efficientnet_v2_m", {480, 480}, 54'139'356, 24'582'460'384, 963,
         {{"IMAGENET1K_V1", "efficientnet_v2_m-dc08266a.pth"}}},
        {"efficientnet_v2_l", {480, 480}, 118'515'272, 56'079'699'008, 1331,
         {{"IMAGENET1K_V1", "efficientnet_v2_l-59c71312.pth"}}},
      }},
      {"torchvision.models.regnet", {
        {"regnet_x_400mf", {224, 224}, 5'495'976, 413'812'608, 357,
         {{"IMAGENET1K_V1", "regnet_x_400mf-adf1edd5.pth"},
          {"IMAGENET1K_V2", "regnet_x_400mf-62229a5f.pth"}}},
        {"regnet_x_800mf", {224, 224}, 7'259'656, 799'699'712, 267,
         {{"IMAGENET1K_V1", "regnet_x_800mf-ad17e45c.pth"},
          {"IMAGENET1K_V2", "regnet_x_800mf-94a99ebd.pth"}}},
        {"regnet_x_1_6gf", {224, 224}, 9'190'136, 1'602'849'792, 297,
         {{"IMAGENET1K_V1", "regnet_x_1_6gf-e3633e7f.pth"},
          {"IMAGENET1K_V2", "regnet_x_1_6gf-a12f2b72.pth"}}},
        {"regnet_x_3_2gf", {224, 224}, 15'296'552, 3'176'621'952, 402,
         {{"IMAGENET1K_V1", "regnet_x_3_2gf-f342aeae.pth"},
          {"IMAGENET1K_V2", "regnet_x_3_2gf-7071aa85.pth"}}},
        {"regnet_x_8gf", {224, 224}, 39'572'648, 7'995'132'416, 372,
         {{"IMAGENET1K_V1", "regnet_x_8gf-03ceed89.pth"},
          {"IMAGENET1K_V2", "regnet_x_8gf-2b70d774.pth"}}},
        {"regnet_x_16gf", {224, 224}, 54'278'536, 15'940'755'456, 357,
         {{"IMAGENET1K_V1", "regnet_x_16gf-2007eb11.pth"},
          {"IMAGENET1K_V2", "regnet_x_16gf-ba3796d7.pth"}}},
        {"regnet_x_32gf", {224, 224}, 107'811'560, 31'735'929'792, 372,
         {{"IMAGENET1K_V1", "regnet_x_32gf-9d47f8d0.pth"},
          {"IMAGENET1K_V2", "regnet_x_32gf-6eb8fdc6.pth"}}},
        {"regnet_y_400mf", {224, 224}, 4'344'144, 401'842'848, 331,
         {{"IMAGENET1K_V1", "regnet_y_400mf-c65dace8.pth"},
          {"IMAGENET1K_V2", "regnet_y_400mf-e6988f5f.pth"}}},
        {"regnet_y_800mf", {224, 224}, 6'432'512, 833'856'256, 293,
         {{"IMAGENET1K_V1", "regnet_y_800mf-1b27b58c.pth"},
          {"IMAGENET1K_V2", "regnet_y_800mf-58fc7688.pth"}}},
        {"regnet_y_1_6gf", {224, 224}, 11'202'430, 1'612'076'160, 540,
         {{"IMAGENET1K_V1", "regnet_y_1_6gf-b11a554e.pth"},
          {"IMAGENET1K_V2", "regnet_y_1_6gf-0d7bc02a.pth"}}},
        {"regnet_y_3_2gf", {224, 224}, 19'436'338, 3'176'482'752, 426,
         {{"IMAGENET1K_V1", "regnet_y_3_2gf-b5a9779c.pth"},
          {"IMAGENET1K_V2", "regnet_y_3_2gf-9180c971.pth"}}},
        {"regnet_y_8gf", {224, 224}, 39'381'472, 8'473'070'592, 350,
         {{"IMAGENET1K_V1", "regnet_y_8gf-d0d0e4a8.pth"},
          {"IMAGENET1K_V2", "regnet_y_8gf-dc2b1b54.pth"}}},
        {"regnet_y_16gf", {224, 224}, 83'590'140, 15'911'510'272, 369,
         {{"IMAGENET1K_V1", "regnet_y_16gf-9e6ed7dd.pth"},
          {"IMAGENET1K_V2", "regnet_y_16gf-3e4a00f9.pth"},
          {"IMAGENET1K_SWAG_E2E_V1", "regnet_y_16gf_swag-43afe44d.pth"},
          {"IMAGENET1K_SWAG_LINEAR_V1", "regnet_y_16gf_lc_swag-f3ec0043.pth"}}},
        {"regnet_y_32gf", {224, 224}, 145'046'770, 32'279'552'832, 407,
         {{"IMAGENET1K_V1", "regnet_y_32gf-4dee3f7a.pth"},
          {"IMAGENET1K_V2", "regnet_y_32gf-8db6d4b5.pth"},
          {"IMAGENET1K_SWAG_E2E_V1", "regnet_y_32gf_swag-04fdfa75.pth"},
          {"IMAGENET1K_SWAG_LINEAR_V1", "regnet_y_32gf_lc_swag-e1583746.pth"}}},
        {"regnet_y_128gf", {384, 384}, 644'812'894, 374'570'006'400, 540,
         {{"IMAGENET1K_SWAG_E2E_V1", "regnet_y_128gf_swag-c8ce3e52.pth"},
          {"IMAGENET1K_SWAG_LINEAR_V1", "regnet_y_128gf_lc_swag-cbe8ce12.pth"}}},
      }},
      {"torchvision.models.convnext", {
        {"convnext_tiny", {224, 224}, 28'589'128, 4'455'531'264, 182,
         {{"IMAGENET1K_V1", "convnext_tiny-983f1562.pth"}}},
        {"convnext_small", {224, 224}, 50'223'688, 8'683'712'256, 344,
         {{"IMAGENET1K_V1", "convnext_small-0c510722.pth"}}},
        {"convnext_base", {224, 224}, 88'591'464, 15'354'729'472, 344,
         {{"IMAGENET1K_V1", "convnext_base-6075fbad.pth"}}},
        {"convnext_large", {224, 224}, 197'767'336, 34'361'433'600, 344,
         {{"IMAGENET1K_V1", "convnext_large-ea097f82.pth"}}},
      }},
      {"timm.models.xception", {
        {"legacy_xception", {299, 299}, 22'855'952, 8'357'403'496, 236,
         {{"tf_in1k", "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-cadene/xception-43020ad28.pth"}}},
      }},
      {"torchvision.models.segmentation.fcn", {
        {"fcn_resnet50", {520, 520}, 32'957'013, 142'725'772'800, 272,
         {{"COCO_WITH_VOC_LABELS_V1", "fcn_resnet50_coco-1167a1af.pth"}}},
        {"fcn_resnet101", {520, 520}, 51'949'141, 222'746'867'200, 527,
         {{"COCO_WITH_VOC_LABELS_V1", "fcn_resnet101_coco-7ecb50ca.pth"}}},
      }},
      {"torchvision.models.segmentation.deeplabv3", {
        {"deeplabv3_resnet50", {520, 520}, 39'638'869, 168'731'205'888, 302,
         {{"COCO_WITH_VOC_LABELS_V1", "deeplabv3_resnet50_coco-cd0a2569.pth"}}},
        {"deeplabv3_resnet101", {520, 520}, 58'630'997, 248'752'300'288, 557,
         {{"COCO_WITH_VOC_LABELS_V1", "deeplabv3_resnet101_coco-586e9e4e.pth"}}},
        {"deeplabv3_mobilenet_v3_large", {520, 520}, 11'025'477, 10'436'350'688, 299,
         {{"COCO_WITH_VOC_LABELS_V1", "deeplabv3_mobilenet_v3_large-fc3c493d.pth"}}},
      }},
      {"torchvision.models.segmentation.lraspp", {
        {"lraspp_mobilenet_v3_large", {520, 520}, 3'221'538, 2'086'219'688, 272,
         {{"COCO_WITH_VOC_LABELS_V1", "lraspp_mobilenet_v3_large-d234d4ea.pth"}}},
      }},
      {"torchvision.models.video.resnet", {
        {"r3d_18", {16, 112, 112}, 33'371'472, 40'696'553'472, 102,
         {{"KINETICS400_V1", "r3d_18-b3b3357e.pth"}}},
        {"mc3_18", {16, 112, 112}, 11'695'440, 43'342'635'008, 102,
         {{"KINETICS400_V1", "mc3_18-a90a0ba3.pth"}}},
        {"r2plus1d_18", {16, 112, 112}, 31'505'325, 40'519'080'960, 187,
         {{"KINETICS400_V1", "r2plus1d_18-91a641e6.pth"}}},
      }},
      {"torchvision.models.video.s3d", {
        {"s3d", {16, 224, 224}, 8'320'048, 17'978'771'456, 387,
         {{"KINETICS400_V1", "s3d-d76dad2f.pth"}}},
      }},
      {"segmentation_models_pytorch.Unet", {
        {"unet_resnet18", {224, 224}, 14'328'209, 4'132'896'768, 152,
         {}},
        {"unet_resnet34", {224, 224}, 24'436'369, 5'982'584'832, 232,
         {}},
        {"unet_resnet50", {224, 224}, 32'521'105, 8'140'554'240, 317,
         {}},
        {"unet_resnet101", {224, 224}, 51'513'233, 11'852'775'424, 572,
         {}},
        {"unet_resnet152", {224, 224}, 67'156'881, 15'564'996'608, 827,
         {}},
        {"unet_resnext50_32x4d", {224, 224}, 31'992'977, 8'281'849'856, 317,
         {}},
        {"unet_resnext101_32x8d", {224, 224}, 95'755'409, 20'465'385'472, 572,
         {}},
      }},
  };
  // clang-format on
}

Description description(const Family& family, const Row& row) {
  std::vector<int64_t> input = {1, 3};
  input.insert(input.end(), row.size.begin(), row.size.end());
  std::vector<PublishedWeights> weights = row.weights;
  for (PublishedWeights& published : weights) {
    if (published.url.find("://") == std::string::npos) {
      published.url.insert(0, "https://download.pytorch.org/models/");
    }
  }
  return {row.name, family.source, input, row.parameters, row.macs, row.tensors, weights};
}

}  // namespace

const std::vector<Description>& descriptions() {
  static const std::vector<Description> table = [] {
    std::vector<Description> result;
    for (const Family& family : families()) {
      for (const Row& row : family.rows) result.push_back(description(family, row));
    }
    return result;
  }();
  return table;
}

}  // namespace convkit::models
