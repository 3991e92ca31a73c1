import av

from worldline.viewer.turntable import write_turntable


def test_the_turntable_is_a_video_of_the_scene(scene, tmp_path):
    write_turntable(scene, tmp_path / "turn.mp4", count=4, max_points=3000)
    with av.open(str(tmp_path / "turn.mp4")) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert [picture.shape for picture in pictures] == [(540, 960, 3)] * 4
    assert pictures[0].std() > 10 and (pictures[0] != pictures[2]).mean() > 0.1
