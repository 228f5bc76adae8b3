"""What an agent may do is decided here, on the server: no prompt, mark or model is a boundary.

`model` holds what an owner may set, `decide` judges a call by it, `judging` gathers the facts and is passed by every call, `asking` stores the
calls that wait for a person, and `waking` says whose words reach an agent by themselves. The order of imports: touch <- model <- decide <-
asking <- judging; waking is beside these two.
"""
