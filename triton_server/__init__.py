"""triton_server: installs NVIDIA's Triton binary, starts it with our model repository and keeps it answering."""

from assay.rpc.environment import silence_grpc

silence_grpc()
