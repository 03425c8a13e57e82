"""What sparse kernels run on: threads, scratch memory, the sentence for exhausted memory."""
