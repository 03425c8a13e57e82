"""The parts that can fill each slot: their names in YAML and their classes. Parts of others are `package.module:Name`."""

_MODELS, _BACKBONES = "panoptic3d.models", "panoptic3d.backbones"

FILLINGS = {
    "fit": {
        "photo": f"{_MODELS}.panorecon.fit:PhotoFit",
        "scaled": f"{_MODELS}.clearview.fit:ScaledFit",
        "padded": f"{_MODELS}.uni3d.fit:PaddedFit",
    },
    "trunk": {
        "resnet18": f"{_BACKBONES}.resnet:ResNet18",
        "resnet50": f"{_BACKBONES}.resnet50:ResNet50",
        "efficientnet-lite0": f"{_BACKBONES}.efficientnet_lite:EfficientNetLite",
        "efficientnet-lite1": f"{_BACKBONES}.efficientnet_lite:EfficientNetLite",
        "efficientnet-lite2": f"{_BACKBONES}.efficientnet_lite:EfficientNetLite",
        "timm": f"{_BACKBONES}.vendor_trunks:TimmTrunk",
        "torchvision": f"{_BACKBONES}.vendor_trunks:TorchvisionTrunk",
    },
    "panoptic": {
        "mask-rcnn": f"{_MODELS}.mask_rcnn.stage:MaskRcnn",
        "centre-offsets": f"{_MODELS}.centre_offsets.stage:CentreOffsets",
        "pixel-classes": f"{_MODELS}.clearview.maps:PixelClasses",
        "pixel-queries": f"{_MODELS}.pixel_queries.stage:PixelQueries",
        "mask-transformer": f"{_MODELS}.mask_transformer.stage:MaskTransformer",
    },
    "rays": {
        "up-projection": f"{_MODELS}.up_projection.decoder:DepthDecoder",
        "layered": f"{_MODELS}.clearview.maps:LayeredRays",
        "segments": f"{_MODELS}.mask_transformer.stage:SegmentDepth",
    },
    "lift": {
        "surface": f"{_MODELS}.surface_lift.lift:SurfaceLift",
        "occupancy": f"{_MODELS}.occupancy_lift.lift:OccupancyLift",
        "occupancy-instances": f"{_MODELS}.occupancy_lift.instance_lift:InstanceOccupancyLift",
        "gather": f"{_MODELS}.clearview.gather:Gather",
        "features": f"{_MODELS}.surface_lift.feature_lift:FeatureLift",
    },
    "voxel_net": {
        "frustum-unet": f"{_MODELS}.frustum_unet.net:FrustumUNet",
        "sparse-deeplab": f"{_MODELS}.sparse_deeplab.net:SparseDeepLab",
        "refining-unet": f"{_MODELS}.clearview.voxel_net:ClearviewNet",
        "query-unet": f"{_MODELS}.frustum_unet.query_net:QueryUNet",
    },
    "decode": {
        "instances": f"{_MODELS}.instance_decode.decoder:InstanceDecode",
        "centres": f"{_MODELS}.centre_grouping.decoder:CentreGrouping",
        "seeds": f"{_MODELS}.clearview.decode:SeedDecode",
        "queries": f"{_MODELS}.query_decode.decoder:QueryDecode",
    },
}
