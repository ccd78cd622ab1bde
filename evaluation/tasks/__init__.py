"""The paper's tables and figures (RealQA, arXiv 2503.06141), measured through the served path; see docs/paper.md."""
