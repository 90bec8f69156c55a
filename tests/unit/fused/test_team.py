from cnnlab.fused import team
from cnnlab.fused.team import TeamWork


def test_several_threads_work_as_a_team_and_one_works_alone(monkeypatch):
    teams = []
    monkeypatch.setattr(team, "_openmp_team", lambda: lambda function, work, threads, flags: teams.append(threads))
    for threads in (1, 2, 3):
        TeamWork([], threads).do()
    assert teams == [2, 3]
