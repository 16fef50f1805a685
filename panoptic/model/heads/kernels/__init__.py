"""What the heads compute on a CPU in another way than by torch's operators."""
