"""Looking for members: a space of networks and fits, samplers that draw from it, a study that resumes."""
