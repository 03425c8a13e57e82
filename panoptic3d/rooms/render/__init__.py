"""Pictures of rooms: materials, textures, light, rays, film; a fast renderer and a path tracer."""
