"""What tests are built from, shipped with the package so that roles and checks kept elsewhere can be tested alike.

``builders`` makes clusters in one line, ``rendered`` and ``golden`` compare what is rendered with the files in tests/golden, ``fake_host`` is a
``Connection`` that answers as a test tells it and remembers what it was asked.
May import everything below ``tasks``; nothing but tests imports it. To add a stand-in: implement the protocol that the product itself uses, and
test the stand-in against the same frames or files as the real one.
"""
