"""What varpd is compared with, each as small as it can be."""
