import torch

from panoptic3d.export.mesh import iso_surface, label_of_vertices


def test_a_ball_comes_back_at_its_radius_with_its_label_and_outward_faces() -> None:
    axes = torch.meshgrid(*(torch.arange(24.0),) * 3, indexing="ij")
    index = torch.stack(axes, dim=-1)
    centre = torch.tensor([11.3, 12.1, 10.6])
    distance = (index - centre).norm(dim=-1)
    mesh = iso_surface(distance, 6.0)
    radius = (mesh.vertices - centre).norm(dim=1)
    assert (radius - 6).abs().max() < 0.1
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    outward = (torch.linalg.cross(b - a, c - a) * ((a + b + c) / 3 - centre)).sum(dim=1)
    assert (outward > 0).all()
    edges = torch.cat((mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]])).sort(dim=1).values
    assert (edges.unique(dim=0, return_counts=True)[1] == 2).all()  # watertight
    labels = torch.where(distance < 6, 3, 0) + torch.where((distance < 6) & (axes[0] > centre[0]), 1, 0)
    found = label_of_vertices(mesh, labels, distance)
    far = (mesh.vertices[:, 0] - centre[0]).abs() > 1
    assert torch.equal(found[far], torch.where(mesh.vertices[:, 0] > centre[0], 4, 3)[far])


def test_no_surface_is_an_empty_mesh() -> None:
    assert iso_surface(torch.full((5, 5, 5), 3.0), 1.0).faces.shape == (0, 3)
    assert iso_surface(torch.zeros(1, 5, 5), 1.0).faces.shape == (0, 3)


def test_the_mask_opens_the_surface_at_its_border() -> None:
    distance = (torch.arange(9.0) - 4).abs().view(9, 1, 1).expand(9, 6, 6).contiguous()
    mask = torch.zeros(9, 6, 6, dtype=torch.bool)
    mask[:, :3] = True
    whole, part = iso_surface(distance, 1.0), iso_surface(distance, 1.0, mask)
    assert whole.vertices[:, 1].max() == 5
    assert 0 < part.vertices[:, 1].max() < 4
