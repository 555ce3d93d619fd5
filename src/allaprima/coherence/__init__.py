"""What keeps paintings steady at run time: following the camera, and locking the painter's grid to the picture."""
